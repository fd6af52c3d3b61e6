"""A partition's state, read from the bars topic as it arrives: a restore in pieces.

A worker that is assigned a partition reads its bars once, up to the commit. A standby reads them
earlier and keeps reading, so almost nothing is left to read at the assignment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.place import Place
from stream_app.kafka.reader import read_range
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.copy_parts import Head
from stream_app.recovery.copying import digest_of, take_copy, write_copy
from stream_app.recovery.local_copies import LocalCopies
from stream_app.recovery.pauses import Pause

logger = logging.getLogger(__name__)

SLICE: Final = 256
"""Bars after which other tasks run: about 5 ms."""
PART: Final = 20_000
"""Bars after which those that will not change go into the windows; as objects they take more."""
MAY_REPEAT: Final = 300
"""Bars of a symbol that a worker which was killed may have published without a commit: they come
again, so they are kept back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One partition of the ticks topic as it is now."""

    topic: str
    partition: int
    topic_id: str
    """Empty where the broker does not tell."""
    partitions: int
    """How many the topic has: where a symbol belongs follows from it."""

    @classmethod
    def at(cls, place: Place, partitions: int) -> Self:
        """The log in which a group stands at this place, of a topic with so many partitions."""
        return cls(
            topic=place.topic,
            partition=place.partition,
            topic_id=place.topic_id,
            partitions=partitions,
        )


class Replica:
    """A partition's pipeline on its way to a committed offset. Lives in the event loop."""

    def __init__(
        self,
        pipeline: PartitionPipeline,
        committed: int,
        *,
        of: Log,
        placement: Callable[[int], Callable[[str], Sequence[int]]],
        bar_s: int,
        window_bars: int,
        copies: LocalCopies | None = None,
    ) -> None:
        """Know nothing of the partition yet.

        Args:
            pipeline: an empty one, which this fills.
            committed: the offset of the first tick that is not answered yet.
            of: the log that the ticks are in.
            placement: from how many partitions there are to where symbols belong then.
            bar_s: length of the windows' bars; others are left out.
            window_bars: how many a window holds.
            copies: where to begin from, if there is one of the partition.
        """
        self.of = of
        self.pipeline = pipeline
        self._placement = placement
        self._bar_s = bar_s
        self.log = self._new_log(committed)
        self.lock = asyncio.Lock()
        """For who reads on."""
        self.is_settled = False
        """Whether all bars before the last known commit are in the windows."""
        self.has_models = False
        """Whether its symbols have models, as far as there are any; noted by who follows it."""
        self._copies = copies
        """Until the first read."""
        self.from_copy: Head | None = None
        """What it began with."""
        self._window_bars = window_bars
        self.position = 0
        """The offset after the last bar read."""
        self._last: ConsumerRecord | None = None
        """The last bar read."""

    def _new_log(self, committed: int) -> BarLog:
        of = self.of
        return BarLog(of.topic, committed, topic_id=of.topic_id, bar_s=self._bar_s)

    @property
    def is_warm(self) -> bool:
        """Whether it can be taken over at once, and answer as well as who has it now."""
        return self.is_settled and self.has_models

    @property
    def bars(self) -> int:
        """How many are in the windows."""
        return sum(len(each.window) for each in self.pipeline.symbols.values())

    def leads_to(self, committed: int, of: Log) -> bool:
        """Whether it can continue to this offset: it is of the same log, and not beyond it.

        If partitions were added meanwhile, updates where its symbols belong.
        """
        if replace(self.of, partitions=of.partitions) != of or self.log.committed > committed:
            return False
        if self.of != of:
            self.of = of
            self.pipeline.place(self._placement(of.partitions), self.pipeline.origin)
        return True

    async def read_on(self, consumer: AIOKafkaConsumer, bars: str, pause: Pause) -> None:
        """Read the bars that have come. Waits on the broker.

        Args:
            consumer: a reader.
            bars: the topic.
            pause: called every few milliseconds. Where it says no, the rest is left for later.
        """
        tp = TopicPartition(bars, self.of.partition)
        await self._begin(tp, consumer, pause)
        await self._read_on(consumer, tp, pause)
        if self.log.is_answered_again:
            self.from_copy, self.position = None, 0
            self.log = self._new_log(self.log.committed)
            self.pipeline.symbols.clear()
            await self._read_on(consumer, tp, pause)

    async def _read_on(self, consumer: AIOKafkaConsumer, tp: TopicPartition, pause: Pause) -> None:
        count = 0
        async for record in read_range(consumer, tp, self.position, None):
            self.log.take(record)
            self.position, self._last = record.offset + 1, record
            count += 1
            if count % PART == 0:
                await self._fill_windows(pause, but=MAY_REPEAT)
            if count % SLICE == 0 and not await pause():
                return

    async def _begin(self, tp: TopicPartition, consumer: AIOKafkaConsumer, pause: Pause) -> None:
        if self._copies is None:
            return
        head = await take_copy(
            self._copies, tp, self.pipeline, self.log, consumer=consumer, pause=pause
        )
        self._copies = None
        if head is not None:
            self.from_copy, self.position = head, head.position

    async def copy_to(self, copies: LocalCopies, pause: Pause) -> Head | None:
        """Write what it has now to this disk. It is settled, and was never taken over.

        Waits on the disk.

        Returns:
            What was written; None where nothing has come since it began, or a symbol is coming.

        Raises:
            OSError: the disk takes no file.
        """
        state, last = self.log.state(), self._last
        if state is None or last is None:
            return None
        unanswered = self.log.first_unanswered()
        head = Head(
            made_by=copies.made_by,
            topic_id=self.of.topic_id,
            committed=self.log.committed,
            position=self.position if unanswered is None else unanswered,
            seen_at=last.offset,
            seen_digest=digest_of(last),
            symbols=len(self.pipeline.symbols),
            bars=self.bars,
            log=state,
        )
        await write_copy(copies, self.of.partition, self.pipeline, head, pause=pause)
        return head

    async def settle(self, committed: int, pause: Pause) -> None:
        """Take all bars that were made before a commit into the windows."""
        self.log.advance(committed)
        await self._fill_windows(pause)
        self.is_settled = True

    async def _fill_windows(self, pause: Pause, *, but: int = 0) -> None:
        while self.log.begun_anew:
            self.pipeline.symbols.pop(self.log.begun_anew.pop(), None)
        for symbol, closed in self.log.take_closed(self._window_bars, but=but).items():
            pipeline = self.pipeline.pipeline_of(symbol)
            for first in range(0, len(closed), SLICE):
                pipeline.recall(closed[first : first + SLICE])
                await pause()  # whatever it says: these bars are nowhere else any more
