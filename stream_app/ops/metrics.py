"""Every metric of the worker, with its unit and meaning; served at `/metrics`.

The names follow Prometheus' conventions: base units (`_seconds`, `_ratio`), `_total` for counters,
`_timestamp_seconds` for moments, `_info` for what only has labels. docs/metrics.md is made from
this module by tools/metrics_table.py. A name is a contract: alerts and dashboards of others use it.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import ProcessCollector

from stream_app.ops import metric_kinds
from stream_app.ops.metric_kinds import (
    counter,
    counting_histogram,
    gauge,
    gauge_at_scrape,
    histogram,
    info,
)

REGISTRY: Final = metric_kinds.REGISTRY
TABLE: Final = metric_kinds.TABLE
OTHER_SYMBOLS: Final = "other symbols"
"""Their label. No symbol has a space in it, so none is called so."""
ALL_SYMBOLS: Final = "of the first METRICS_SYMBOLS symbols, and the mean of the others"

# Ticks and what is answered
TICKS_READ: Final = counter(
    "stream_app_ticks_read_total",
    "records",
    "Read from the ticks topic and answered, valid or not.",
)
PREDICTIONS: Final = counter(
    "stream_app_predictions_total", "messages", "Predictions acknowledged by the broker."
)
DEGRADED: Final = counter(
    "stream_app_predictions_degraded_total", "messages", "Predictions with a reason in `degraded`."
)
BARS: Final = counter("stream_app_bars_total", "messages", "Bars closed and published.")
LAST_PREDICTION: Final = gauge(
    "stream_app_last_prediction_timestamp_seconds",
    "seconds since 1970",
    "When the broker last acknowledged predictions; 0 before the first.",
)
TICK_TO_PREDICTION: Final = counting_histogram(
    "stream_app_tick_to_prediction_seconds",
    "From the record's Kafka timestamp, which the broker sets when it appends the tick, until the "
    "broker has acknowledged all that its batch gave. Observed for every record, valid or not.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600),
)
BATCH_SECONDS: Final = histogram(
    "stream_app_batch_seconds",
    "Computing the answers to one batch of records, without publishing. Observed for every batch.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
)
PUBLISH_SECONDS: Final = histogram(
    "stream_app_publish_seconds",
    "Encoding and sending what one batch gave, until the broker has acknowledged all of it. "
    "Observed for every batch.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30),
)

# Ticks that are odd
DEAD_LETTERS: Final = counter(
    "stream_app_dead_letters_total", "records", "Records that are no valid tick.", "reason"
)
LATE: Final = counter(
    "stream_app_late_ticks_total", "ticks", "Late ticks: answered, but not in the window."
)
DUPLICATES: Final = counter(
    "stream_app_duplicate_ticks_total",
    "ticks",
    "Repeated ticks: answered, but in the window once.",
)
AHEAD: Final = counter(
    "stream_app_ahead_ticks_total",
    "ticks",
    "Ticks whose time ran ahead of the ticks after them: answered, then left out of the window.",
)
JUMPS: Final = counter(
    "stream_app_price_jumps_total",
    "ticks",
    "Ticks whose price jumped beyond what is believed: answered, not learned from.",
)
MISPLACED: Final = counter(
    "stream_app_misplaced_ticks_total",
    "ticks",
    "Ticks in another partition than their key's: answered, from a window of their own.",
)

# What forecasts are worth
SCORED: Final = counter(
    "stream_app_forecasts_scored_total", "bars", "Bars whose forecasts have met their outcome."
)
MSE_SKILL: Final = gauge_at_scrape(
    "stream_app_mse_skill_ratio",
    "1 is perfect, 0 the last price's",
    f"1 less the squared error over the last price's, of the last week: {ALL_SYMBOLS}. "
    "`forecaster` is a model, `ensemble` or `published`.",
    "symbol",
    "forecaster",
)
SHRINKAGE: Final = gauge_at_scrape(
    "stream_app_shrinkage_ratio",
    "0 to 1",
    f"The share of a forecast's distance from the last price that counts: {ALL_SYMBOLS}.",
    "symbol",
    "forecaster",
)
COVERAGE: Final = gauge_at_scrape(
    "stream_app_interval_coverage_ratio",
    "0 to 1",
    f"The share of the last week's outcomes that were inside their interval: {ALL_SYMBOLS}.",
    "symbol",
    "level",
)
LEVELS: Final = gauge(
    "stream_app_interval_level_ratio",
    "0 to 1",
    "What the coverage should be: the level itself, one of INTERVAL_LEVELS.",
    "level",
)
HARMED: Final = gauge(
    "stream_app_harmed_symbols",
    "symbols",
    "This worker's symbols whose published forecasts are plainly worse than the last price.",
)
DRIFT_ALARMS: Final = counter(
    "stream_app_drift_alarms_total",
    "alarms",
    "Alarms of drift that concern this worker's symbols, since its start: see `stream-app drift`.",
    "input",
    "detector",
)

# Retrains
RETRAIN_SECONDS: Final = histogram(
    "stream_app_retrain_seconds",
    "A retrain cycle from start to end, for all symbols that had their turn. Observed for every "
    "cycle; `outcome` is its state.",
    "outcome",
    buckets=(1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 300),
)
EXCEEDED: Final = counter(
    "stream_app_retrains_exceeded_total", "cycles", "Cycles longer than RETRAIN_TARGET_SECONDS."
)
LAST_RETRAIN: Final = gauge(
    "stream_app_last_retrain_success_timestamp_seconds",
    "seconds since 1970",
    "When the last cycle that `succeeded` ended; 0 before the first.",
)
TRAINING_SECONDS: Final = histogram(
    "stream_app_training_seconds",
    "Training one model of one symbol, from when a process takes the job. `outcome` is "
    "`succeeded`, `failed`, `timed_out` at RETRAIN_DEADLINE_SECONDS, or `cancelled` because "
    "another model of the symbol failed or the worker ended.",
    "model",
    "outcome",
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 45, 90, 120, 300),
)
TRAINING_WAIT: Final = gauge(
    "stream_app_training_wait_seconds",
    "seconds",
    "How long the symbol that has waited longest has been due for a training; 0 where none waits.",
)
RETRAIN_NEEDED: Final = gauge(
    "stream_app_retrain_needed_seconds",
    "seconds",
    "How long training all symbols of this worker once keeps its processes busy; 0 before that is "
    "known. More than RETRAIN_INTERVAL_HOURS does not fit.",
)
GATE_DECISIONS: Final = counter(
    "stream_app_gate_decisions_total",
    "versions",
    "New models of a symbol. `decision` is `promoted`, `pinned` (kept, not serving) or `rejected`; "
    "`reason` is the check of the gate that refused them, else empty.",
    "decision",
    "reason",
)
POOL_RESTARTS: Final = counter(
    "stream_app_pool_restarts_total",
    "processes",
    "Training processes that took another's place: as planned after 24 jobs, after a job that was "
    "ended, or after one that died.",
)
SYMBOLS: Final = gauge("stream_app_symbols", "symbols", "Symbols that this worker answers for.")
SYMBOLS_TRAINED: Final = gauge(
    "stream_app_symbols_trained", "symbols", "Those of them that trained models serve."
)
RETRAIN_INTERVAL: Final = gauge(
    "stream_app_retrain_interval_seconds", "seconds", "RETRAIN_INTERVAL_HOURS, for alerts."
)
RETRAIN_TARGET: Final = gauge(
    "stream_app_retrain_target_seconds", "seconds", "RETRAIN_TARGET_SECONDS, for alerts."
)

# Kafka
LAG: Final = gauge(
    "stream_app_lag_records",
    "records",
    "Records not answered at the last look, by partition: this worker's partitions, and those that "
    "no worker reads, which every worker shows. Keeps its value while the broker does not answer.",
    "partition",
)
LAST_LOOK: Final = gauge(
    "stream_app_last_lag_look_timestamp_seconds",
    "seconds since 1970",
    "When the broker last answered the look at the lag, every 2 s; 0 before the first.",
)
PARTITIONS: Final = gauge(
    "stream_app_partitions", "partitions", "Partitions of the ticks topic that this worker has."
)
STANDBY_PARTITIONS: Final = gauge(
    "stream_app_standby_partitions",
    "partitions",
    "Partitions of other workers that this worker could take over at once.",
)
UPLOADS_WAITING: Final = gauge(
    "stream_app_versions_waiting",
    "versions",
    "Model versions on this disk that are not in the object store yet.",
)
UNREAD_PARTITIONS: Final = gauge(
    "stream_app_unread_partitions",
    "partitions",
    "Partitions of the ticks topic that no worker of the group reads; 0 on the embedded broker.",
)
RESTORE_SECONDS: Final = histogram(
    "stream_app_restore_seconds",
    "Bringing the state of one partition back from Kafka's log. Observed for every one restored.",
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
REBALANCE_SECONDS: Final = histogram(
    "stream_app_rebalance_seconds",
    "From when this worker gave its partitions up, or joined, until all that it was given are "
    "restored: so long nothing was answered. Observed for every rebalance.",
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)

# The process
READY: Final = gauge("stream_app_ready", "0 or 1", "1 while /health/ready answers 200.")
EVENT_LOOP_DELAY: Final = histogram(
    "stream_app_event_loop_delay_seconds",
    "How late a timer fires: so long the event loop was busy. Observed four times a second.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
BUILD: Final = info(
    "stream_app_build_info", "Versions of stream-app and of Python.", "version", "python"
)
ProcessCollector(registry=REGISTRY)
