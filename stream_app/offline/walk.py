"""Records through the worker's own pipeline, with things to do between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from stream_app.messages.records import Record
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


def as_records(ticks: Iterable[Tick]) -> Iterator[OfflineRecord]:
    """Ticks as the records of one partition, from offset 0 on."""
    for offset, tick in enumerate(ticks):
        yield OfflineRecord(
            offset=offset, key=tick.symbol.encode(), value=encode_tick(tick), timestamp=tick.ts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something to do just before the first record that has both this time and this offset."""

    ts: int = 0
    """Of a record at the earliest, epoch milliseconds."""
    offset: int = 0
    """Of a record at the earliest."""
    do: Callable[[], None]


def walk(
    records: Iterable[Record],
    pipeline: PartitionPipeline,
    *,
    moments: Iterable[Moment] = (),
    on_answer: Callable[[Answer], None] = lambda _: None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Send records through a pipeline. Blocks for all of them.

    Args:
        records: of any number of symbols, in order.
        pipeline: all symbols are in its one partition.
        moments: in any order; those after the last record never come.
        on_answer: called with what each batch gave.
        on_progress: called with the number of records of each batch.
    """
    left = iter(sorted(moments, key=lambda moment: (moment.ts, moment.offset)))
    moment = next(left, None)
    batch: list[Record] = []

    def flush() -> None:
        if batch:
            on_answer(pipeline.process(batch))
            on_progress(len(batch))
            batch.clear()

    for record in records:
        while moment and record.timestamp >= moment.ts and record.offset >= moment.offset:
            flush()
            moment.do()
            moment = next(left, None)
        batch.append(record)
        if len(batch) == _CHUNK:
            flush()
    flush()
