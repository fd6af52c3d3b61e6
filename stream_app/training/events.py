"""What a retrain cycle gave, and the events that tell it. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from stream_app.bars.features import BarColumns
from stream_app.messages.schemas import RetrainEvent, RetrainTrigger
from stream_app.models.catalog import CATALOG, LSTM


@dataclass(slots=True)
class Outcome:
    """What a cycle gave for one symbol."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Of training, by model."""
    rows: int = 0
    version: str | None = None
    """What serves now; None when the models before it go on."""
    failure: str | None = None
    timed_out: bool = False


def started_event(
    trigger: RetrainTrigger,
    snapshots: Mapping[str, BarColumns],
    *,
    at: datetime,
    target_s: float,
    worker: str,
) -> RetrainEvent:
    """The event of a cycle that begins: for which symbols, and on which data."""
    return RetrainEvent(
        cycle=uuid.uuid4().hex[:12],
        state="started",
        trigger=trigger,
        timestamp=at.isoformat(timespec="milliseconds"),
        duration_seconds=0.0,
        lstm_included=True,
        target_seconds=target_s,
        exceeded=False,
        rows=0,
        data_from=min(int(bars.ts_open[0]) for bars in snapshots.values()),
        data_to=max(int(bars.ts_last[-1]) for bars in snapshots.values()),
        symbols=tuple(snapshots),
        worker=worker,
    )


def ended_event(
    started: RetrainEvent,
    outcomes: Mapping[str, Outcome],
    *,
    at: datetime,
    duration_s: float,
) -> RetrainEvent:
    """The event of a cycle that has ended: it succeeded only if every symbol did.

    Args:
        started: the cycle's first event.
        outcomes: by symbol, at least one.
        at: when it ended.
        duration_s: how long it took.
    """
    failures = [item for item in outcomes.values() if item.failure]
    timed_out = any(item.timed_out for item in failures)
    return replace(
        started,
        state="timed_out" if timed_out else "failed" if failures else "succeeded",
        timestamp=at.isoformat(timespec="milliseconds"),
        duration_seconds=round(duration_s, 3),
        model_seconds={
            name: round(sum(item.seconds.get(name, 0.0) for item in outcomes.values()), 3)
            for name in CATALOG
        },
        lstm_included=all(LSTM in item.seconds for item in outcomes.values()),
        exceeded=duration_s > started.target_seconds,
        rows=sum(item.rows for item in outcomes.values()),
        versions={symbol: item.version for symbol, item in outcomes.items() if item.version},
        reasons=tuple(dict.fromkeys(item.failure for item in failures if item.failure)),
    )
