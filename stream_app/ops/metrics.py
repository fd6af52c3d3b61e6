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
    "Predictions that say why they are less than the full ensemble on a fresh tick.",
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
    "1 while more than 5 % and more than 60 of the records of the last minute are dead letters, "
    "and until they are below half of either; else 0.",
    registry=REGISTRY,
)
LATE: Final = Counter(
    "stream_app_late_ticks", "Ticks behind the grace: answered, not entered.", registry=REGISTRY
)
DUPLICATES: Final = Counter(
    "stream_app_duplicate_ticks",
    "Ticks seen before within the grace: answered, not entered again.",
    registry=REGISTRY,
)
AHEAD: Final = Counter(
    "stream_app_ahead_ticks",
    "Ticks whose time ran ahead of the ticks after them: answered, then left out of the window.",
    registry=REGISTRY,
)
JUMPS: Final = Counter(
    "stream_app_price_jumps",
    "Ticks whose price jumped beyond what is believed: the filter starts anew from it.",
    registry=REGISTRY,
)
BATCH_SECONDS: Final = Histogram(
    "stream_app_batch_seconds",
    "Seconds of arithmetic for one batch of records, without publishing.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    registry=REGISTRY,
)
RETRAIN_SECONDS: Final = Gauge(
    "stream_app_retrain_seconds", "Duration of the last retrain cycle.", registry=REGISTRY
)
RETRAINS: Final = Counter(
    "stream_app_retrains", "Retrain cycles ended, by state.", ["state"], registry=REGISTRY
)
SYMBOLS_TRAINED: Final = Gauge(
    "stream_app_symbols_trained",
    "Symbols of this worker served by all four models.",
    registry=REGISTRY,
)
LAG: Final = Gauge(
    "stream_app_lag_ticks",
    "Records of this worker's partitions that are not answered yet, as of the last look.",
    registry=REGISTRY,
)
PARTITIONS: Final = Gauge(
    "stream_app_partitions",
    "Partitions of the ticks topic that this worker has.",
    registry=REGISTRY,
)
