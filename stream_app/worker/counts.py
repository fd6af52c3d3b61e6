"""What the worker has done, counted once: the metrics are the counts, `/status` reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

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
    degraded = [reasons for reasons in answer.predictions.degraded if reasons]
    for metric, count in (
        (metrics.DEGRADED, len(degraded)),
        (metrics.BARS, len(answer.bars)),
        (metrics.LATE, answer.late),
        (metrics.DUPLICATES, answer.duplicates),
        (metrics.AHEAD, answer.ahead),
        (metrics.JUMPS, answer.jumps),
        (metrics.MISPLACED, sum(MISPLACED in reasons for reasons in degraded)),
    ):
        if count:  # mostly it is 0, and `inc` takes its time all the same
            metric.inc(count)
    if answer.dead_letters:
        reasons = Counter(letter.rejection.reason for letter in answer.dead_letters)
        for reason, letters in reasons.items():
            metrics.DEAD_LETTERS.labels(reason).inc(letters)


def count_delays(records: Sequence[Record], *, until_s: float) -> None:
    """Note how long the records of a batch have waited for their answers.

    Args:
        records: at least one.
        until_s: when the last answer was acknowledged, seconds since 1970.
    """
    # Records that came to the broker together have one timestamp: there are few different ones.
    for appended_ms, count in Counter([record.timestamp for record in records]).items():
        if appended_ms < 0:
            continue  # a client older than Kafka 0.10 sends none
        # The broker's clock may run a little ahead of ours.
        metrics.TICK_TO_PREDICTION.observe(max(0.0, until_s - appended_ms / 1000), count)


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
