"""Ticks through the worker's own pipeline, in event time, with things to do between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import encode_tick
from stream_app.prediction.pipeline import Answer, PartitionPipeline

TOPIC: Final = "backtest"
_CHUNK: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineRecord:
    """A tick as a record of a topic: appended at its own event time."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int
    topic: str = TOPIC
    partition: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something to do just before the first tick at or after an event time."""

    ts: int
    """Epoch milliseconds."""
    do: Callable[[], None]


def walk(
    ticks: Iterable[Tick],
    pipeline: PartitionPipeline,
    *,
    moments: Iterable[Moment] = (),
    on_answer: Callable[[Answer], None] = lambda _: None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Send ticks through a pipeline. Blocks for all of them.

    Args:
        ticks: of any number of symbols, in order of event time.
        pipeline: all symbols are in its one partition.
        moments: in order of time; those after the last tick never come.
        on_answer: called with what each batch gave.
        on_progress: called with the number of ticks of each batch.
    """
    left = iter(sorted(moments, key=lambda moment: moment.ts))
    moment = next(left, None)
    batch: list[OfflineRecord] = []

    def flush() -> None:
        if batch:
            on_answer(pipeline.process(batch))
            on_progress(len(batch))
            batch.clear()

    for offset, tick in enumerate(ticks):
        while moment is not None and tick.ts >= moment.ts:
            flush()
            moment.do()
            moment = next(left, None)
        batch.append(
            OfflineRecord(
                offset=offset, key=tick.symbol.encode(), value=encode_tick(tick), timestamp=tick.ts
            )
        )
        if len(batch) == _CHUNK:
            flush()
    flush()
