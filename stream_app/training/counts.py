"""What the metrics say of retrains. Each outcome begins at 0, or the first would be no increase."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, get_args

from stream_app.messages.schemas import RetrainEvent, RetrainState
from stream_app.models.catalog import CATALOG
from stream_app.ops import metrics
from stream_app.training.gate import Check

TrainingOutcome = Literal["succeeded", "failed", "timed_out", "cancelled"]
PROMOTED: Final = "promoted"
PINNED: Final = "pinned"
REJECTED: Final = "rejected"

for _state in set(get_args(RetrainState)) - {"started"}:
    metrics.RETRAIN_SECONDS.labels(_state)
for _model in CATALOG:
    for _outcome in get_args(TrainingOutcome):
        metrics.TRAINING_SECONDS.labels(_model, _outcome)
for _decision, _reason in (
    (PROMOTED, ""),
    (PINNED, ""),
    *((REJECTED, check) for check in get_args(Check)),
):
    metrics.GATE_DECISIONS.labels(_decision, _reason)


def count_cycle(ended: RetrainEvent, *, at: datetime) -> None:
    """Count a cycle that has ended by itself.

    Args:
        ended: its event.
        at: now.
    """
    metrics.RETRAIN_SECONDS.labels(ended.state).observe(ended.duration_seconds)
    if ended.state == "succeeded":
        metrics.LAST_RETRAIN.set(at.timestamp())
    if ended.exceeded:
        metrics.EXCEEDED.inc()
    metrics.GATE_DECISIONS.labels(PROMOTED, "").inc(len(ended.versions))
    metrics.GATE_DECISIONS.labels(PINNED, "").inc(len(ended.pinned))
    for reason in ended.rejected.values():
        metrics.GATE_DECISIONS.labels(REJECTED, reason.split(":")[0]).inc()


def count_training(model: str, outcome: TrainingOutcome, seconds: float) -> None:
    """Count one model's training that a process has begun."""
    metrics.TRAINING_SECONDS.labels(model, outcome).observe(seconds)
