"""The ends of logs that hold no record: a transaction leaves a marker behind its records."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.kafka.connection import POLL_MS

_LOOK_S: Final = 1.0
"""For all partitions together: a broker that answers does so in milliseconds."""


@dataclass(slots=True)
class _Tail:
    """What is known of a log behind an offset."""

    start: int
    empty_to: int
    """No record stands before this offset."""
    has_record: bool = False
    """Whether one stands at it or behind it."""


class Tails:
    """Finds partitions whose log holds no record behind an offset. Lives in the event loop.

    No consumer is given a marker, or the records of a transaction that was aborted. So a group
    that has read everything has a commit before the log's end, and seems to lag for as long as
    the feed is silent, or aborts what it sends. A tail is read where it began at the same offset at
    two looks in a row, and no part of it twice: while ticks flow, this costs nothing.
    """

    def __init__(self, reader: AIOKafkaConsumer) -> None:
        """Know none yet.

        Args:
            reader: of no group. What it is assigned is changed.
        """
        self._reader = reader
        self._known: dict[int, _Tail] = {}

    async def empty(
        self, topic: str, tails: Mapping[int, tuple[int, int]], *, at_once: bool = False
    ) -> set[int]:
        """The partitions that hold no record in a range. Waits on the broker.

        Args:
            topic: name.
            tails: by partition, the first offset of the range and the one after it.
            at_once: whether ranges are read at the first look, too.
        """
        before = self._known
        again = {
            number
            for number, (start, _) in tails.items()
            if number in before and before[number].start == start
        }
        self._known = {
            number: before[number] if number in again else _Tail(start, start)
            for number, (start, _) in tails.items()
        }
        unread = {
            number: end
            for number, (_, end) in tails.items()
            if (at_once or number in again)
            and not self._known[number].has_record
            and self._known[number].empty_to < end
        }
        if unread:
            await self._read(topic, unread)
        return {number for number, (_, end) in tails.items() if self._known[number].empty_to >= end}

    async def _read(self, topic: str, ends: Mapping[int, int]) -> None:
        """Read on to these ends. What the broker does not say in time stays unknown."""
        left = {TopicPartition(topic, number): end for number, end in ends.items()}
        reader, clock = self._reader, asyncio.get_running_loop().time
        deadline = clock() + _LOOK_S
        reader.assign(list(left))
        for tp in left:
            reader.seek(tp, self._known[tp.partition].empty_to)
        try:
            while left and clock() < deadline:
                found = await reader.getmany(*left, timeout_ms=POLL_MS)
                for tp, end in [*left.items()]:
                    tail = self._known[tp.partition]
                    if found.get(tp):
                        tail.has_record = True
                        del left[tp]
                        continue
                    tail.empty_to = max(tail.empty_to, await reader.position(tp))
                    if tail.empty_to >= end:
                        del left[tp]
        finally:
            reader.pause(*reader.assignment())  # or it would go on fetching
