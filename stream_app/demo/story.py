"""What has happened in a demo so far: the data behind the live view and the summary."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson

from stream_app.messages.schemas import RetrainEvent
from stream_app.models.catalog import CATALOG

KEPT_LATENCIES: Final = 100_000


@dataclass(slots=True, kw_only=True)
class Story:
    """Filled by the demo's tasks, all in one event loop."""

    broker: str
    history_total: int
    dashboard: str = ""
    """The address of the page that shows the same and more."""
    started: float = field(default_factory=time.monotonic)
    phase: str = "starting the broker and the worker"
    sent: int = 0
    """Ticks acknowledged by the broker."""
    predictions: int = 0
    first_prediction_at: float | None = None
    history_answered_at: float | None = None
    four_models_at: float | None = None
    last_prediction: dict[str, Any] | None = None
    latencies_ms: list[float] = field(default_factory=list)
    """Of live ticks: from handing the tick to the producer to reading its prediction."""
    live_sent_at: dict[tuple[str, int], float] = field(default_factory=dict)
    """When each live tick that has no prediction yet was sent, by symbol and event time."""
    retrains: list[RetrainEvent] = field(default_factory=list)
    worker: dict[str, Any] = field(default_factory=dict)
    """The worker's own `/status`."""

    @property
    def seconds(self) -> float:
        """Seconds since the start of the demo."""
        return time.monotonic() - self.started

    def take_prediction(self, value: bytes) -> None:
        """Note a prediction that was read from the topic."""
        now = time.monotonic()
        self.predictions += 1
        message: dict[str, Any] = orjson.loads(value)
        self.last_prediction = message
        if self.first_prediction_at is None:
            self.first_prediction_at = now
        if self.predictions == self.history_total:
            self.history_answered_at = now
        if self.four_models_at is None and all(
            message["members"].get(name, {}).get("weight", 0) for name in CATALOG
        ):
            self.four_models_at = now
        sent = self.live_sent_at.pop((message["symbol"], message["ts"]), None)
        if sent is not None and len(self.latencies_ms) < KEPT_LATENCIES:
            self.latencies_ms.append((now - sent) * 1000)

    def take_retrain(self, event: RetrainEvent) -> None:
        """Note a retrain event that was read from the topic."""
        self.retrains.append(event)

    @property
    def answered(self) -> int:
        """Ticks whose prediction was read, plus dead letters."""
        return self.predictions + int(self.worker.get("dead_letters", 0))

    @property
    def ticks_per_second(self) -> float | None:
        """How fast the history was answered, from Kafka to Kafka."""
        if self.first_prediction_at is None or self.history_answered_at is None:
            return None
        taken = self.history_answered_at - self.first_prediction_at
        return self.history_total / taken if taken > 0 else None

    def latency_ms(self) -> dict[str, float | None]:
        """Median and 99th percentile of the live ticks' latency."""
        if not self.latencies_ms:
            return {"p50": None, "p99": None}
        p50, p99 = np.percentile(self.latencies_ms, [50, 99])
        return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}

    def summary(self) -> dict[str, Any]:
        """What `--json` prints."""
        rate = self.ticks_per_second
        counted = ("ticks_read", "dead_letters", "late", "duplicates")
        return {
            "ticks_sent": self.sent,
            "predictions": self.predictions,
            **{name: self.worker.get(name, 0) for name in counted},
            "ticks_per_second": None if rate is None else round(rate, 1),
            "latency_ms": self.latency_ms(),
            "warm_up_seconds": None
            if self.four_models_at is None
            else round(self.four_models_at - self.started, 2),
            "retrains": self.retrains,
            "last_prediction": self.last_prediction,
            "broker": self.broker,
            "seconds": round(self.seconds, 2),
        }
