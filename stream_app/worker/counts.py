"""What the worker has done, counted once: the metrics are the counts, `/status` reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from prometheus_client import Counter as Metric

from stream_app.messages.records import Record
from stream_app.messages.ticks import REASONS
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

for _reason in REASONS:
    metrics.DEAD_LETTERS.labels(_reason)  # from 0 on, or the first one would be no increase


def count_batch(records: int, answer: Answer) -> None:
    """Count a batch of so many records, once all that follows from it is acknowledged."""
    metrics.TICKS_READ.inc(records)
    if answer.predictions:
        metrics.PREDICTIONS.inc(len(answer.predictions))
        metrics.LAST_PREDICTION.set_to_current_time()
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


def count_delays(records: Sequence[Record], *, until_s: float) -> None:
    """Note how long the records of a batch have waited for their answers.

    Args:
        records: at least one.
        until_s: when the last answer was acknowledged, seconds since 1970.
    """
    appended_ms = np.array([record.timestamp for record in records], dtype=np.float64)
    # The broker's clock may run a little ahead of ours.
    metrics.TICK_TO_PREDICTION.observe_all(np.maximum(until_s - appended_ms / 1000, 0.0))


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
