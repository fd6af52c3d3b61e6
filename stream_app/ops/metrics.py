"""Every metric of the worker, with its meaning and unit; served at `/metrics`."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()

TICKS_READ: Final = Counter(
    "stream_app_ticks_read", "Records read from the ticks topic, valid or not.", registry=REGISTRY
)
PREDICTIONS: Final = Counter(
    "stream_app_predictions", "Predictions acknowledged by the broker.", registry=REGISTRY
)
DEGRADED: Final = Counter(
    "stream_app_predictions_degraded",
    "Predictions with a reason in `degraded`.",
    registry=REGISTRY,
)
BARS: Final = Counter("stream_app_bars", "Bars closed and published.", registry=REGISTRY)
DEAD_LETTERS: Final = Counter(
    "stream_app_dead_letters",
    "Records that are no valid tick, by reason code.",
    ["reason"],
    registry=REGISTRY,
)
DEAD_LETTER_ALARM: Final = Gauge(
    "stream_app_dead_letter_alarm",
    "Becomes 1 when more than 5 % and more than 60 of the last minute's records are dead letters, "
    "and 0 when they fall below half of either.",
    registry=REGISTRY,
)
LATE: Final = Counter(
    "stream_app_late_ticks", "Late ticks: answered, but not in the window.", registry=REGISTRY
)
DUPLICATES: Final = Counter(
    "stream_app_duplicate_ticks",
    "Repeated ticks: answered, but in the window once.",
    registry=REGISTRY,
)
AHEAD: Final = Counter(
    "stream_app_ahead_ticks",
    "Ticks whose time ran ahead of the ticks after them: answered, then left out of the window.",
    registry=REGISTRY,
)
JUMPS: Final = Counter(
    "stream_app_price_jumps",
    "Ticks whose price jumped beyond what is believed: the filter starts again from it.",
    registry=REGISTRY,
)
MISPLACED: Final = Counter(
    "stream_app_misplaced_ticks",
    "Ticks in another partition than their key's: answered, from a window of their own.",
    registry=REGISTRY,
)
SCORED: Final = Counter(
    "stream_app_forecasts_scored",
    "Bars whose forecasts have met their outcome.",
    registry=REGISTRY,
)
MSE_SKILL: Final = Gauge(
    "stream_app_mse_skill",
    "1 less the squared error over the last price's, of the last week; of the first 50 symbols.",
    ["symbol", "forecaster"],
    registry=REGISTRY,
)
SHRINKAGE: Final = Gauge(
    "stream_app_shrinkage",
    "The share of the distance from the last price that counts; of the first 50 symbols.",
    ["symbol", "forecaster"],
    registry=REGISTRY,
)
HARMED: Final = Gauge(
    "stream_app_harmed_symbols",
    "Symbols whose published forecasts are plainly worse than the last price.",
    registry=REGISTRY,
)
BATCH_SECONDS: Final = Histogram(
    "stream_app_batch_seconds",
    "Seconds to compute one batch of records, without publishing.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    registry=REGISTRY,
)
RETRAIN_SECONDS: Final = Gauge(
    "stream_app_retrain_seconds", "Duration of the last retrain cycle.", registry=REGISTRY
)
RETRAINS: Final = Counter(
    "stream_app_retrains", "Finished retrain cycles, by state.", ["state"], registry=REGISTRY
)
GATE_DECISIONS: Final = Counter(
    "stream_app_gate_decisions",
    "New models of a symbol: promoted, pinned, or the check of the gate that refused them.",
    ["decision"],
    registry=REGISTRY,
)
SYMBOLS_TRAINED: Final = Gauge(
    "stream_app_symbols_trained",
    "This worker's symbols that all four models serve.",
    registry=REGISTRY,
)
LAG: Final = Gauge(
    "stream_app_lag_ticks",
    "Records not answered at the last check: of this worker's partitions and of unread ones.",
    registry=REGISTRY,
)
UPLOADS_WAITING: Final = Gauge(
    "stream_app_versions_waiting",
    "Model versions on this disk that are not in the object store yet.",
    registry=REGISTRY,
)
UNREAD_PARTITIONS: Final = Gauge(
    "stream_app_unread_partitions",
    "Partitions of the ticks topic that no worker of the group reads.",
    registry=REGISTRY,
)
PARTITIONS: Final = Gauge(
    "stream_app_partitions",
    "Partitions of the ticks topic that this worker has.",
    registry=REGISTRY,
)
