"""What the worker has done, counted once: the metrics are the counts, `/status` reads them."""

from __future__ import annotations

from collections import Counter
from typing import Final

from prometheus_client import Counter as Metric

from stream_app.ops import metrics
from stream_app.prediction.observation import MISPLACED
from stream_app.prediction.pipeline import Answer

_SHOWN: Final[dict[str, Metric]] = {
    "ticks_read": metrics.TICKS_READ,
    "predictions": metrics.PREDICTIONS,
    "dead_letters": metrics.DEAD_LETTERS,
    "bars": metrics.BARS,
    "late": metrics.LATE,
    "duplicates": metrics.DUPLICATES,
    "ahead": metrics.AHEAD,
    "jumps": metrics.JUMPS,
    "misplaced": metrics.MISPLACED,
}


def count_batch(records: int, answer: Answer) -> None:
    """Count a batch of so many records, once all that follows from it is acknowledged."""
    metrics.TICKS_READ.inc(records)
    metrics.PREDICTIONS.inc(len(answer.predictions))
    metrics.DEGRADED.inc(sum(bool(item.degraded) for item in answer.predictions))
    metrics.BARS.inc(len(answer.bars))
    metrics.LATE.inc(answer.late)
    metrics.DUPLICATES.inc(answer.duplicates)
    metrics.AHEAD.inc(answer.ahead)
    metrics.JUMPS.inc(answer.jumps)
    metrics.MISPLACED.inc(sum(MISPLACED in item.degraded for item in answer.predictions))
    reasons = Counter(letter.rejection.reason for letter in answer.dead_letters)
    for reason, count in reasons.items():
        metrics.DEAD_LETTERS.labels(reason).inc(count)


def shown_counts() -> dict[str, int]:
    """The counts that `/status` shows, since the process started."""
    return {
        name: int(
            sum(
                sample.value
                for family in metric.collect()
                for sample in family.samples
                if sample.name.endswith("_total")
            )
        )
        for name, metric in _SHOWN.items()
    }
