"""The ends of logs that hold no record: a transaction leaves a marker behind its records."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

_LOOK_S: Final = 1.0
"""For all partitions together: a broker that answers does so in milliseconds."""
_POLL_MS: Final = 20


class Tails:
    """Finds partitions whose log holds no record behind an offset. Lives in the event loop.

    No consumer is given a marker, or the records of a transaction that was aborted. So a group
    that has read everything has a commit before the log's end, and seems to lag for as long as
    the feed is silent. A tail is read once, and only where it was the same at two looks in a row:
    while ticks flow, this costs nothing.
    """

    def __init__(self, reader: AIOKafkaConsumer) -> None:
        """Know none yet.

        Args:
            reader: of no group. What it is assigned is changed.
        """
        self._reader = reader
        self._seen: dict[int, tuple[int, int]] = {}
        self._is_empty: dict[int, bool] = {}

    async def empty(self, topic: str, tails: Mapping[int, tuple[int, int]]) -> set[int]:
        """The partitions that hold no record in a range. Waits on the broker.

        Args:
            topic: name.
            tails: by partition, the first offset of the range and the one after it.
        """
        unmoved = {number for number, tail in tails.items() if self._seen.get(number) == tail}
        self._is_empty = {
            number: known for number, known in self._is_empty.items() if number in unmoved
        }
        self._seen = dict(tails)
        if unknown := unmoved - self._is_empty.keys():
            await self._read(topic, {number: tails[number] for number in unknown})
        return {number for number, is_empty in self._is_empty.items() if is_empty}

    async def _read(self, topic: str, tails: Mapping[int, tuple[int, int]]) -> None:
        """Note which of them are empty. What the broker does not say in time stays unknown."""
        left = {TopicPartition(topic, number): tail for number, tail in tails.items()}
        reader, clock = self._reader, asyncio.get_running_loop().time
        deadline = clock() + _LOOK_S
        reader.assign(list(left))
        try:
            for tp, (first, _) in left.items():
                reader.seek(tp, first)
            while left and clock() < deadline:
                for tp, records in (await reader.getmany(*left, timeout_ms=_POLL_MS)).items():
                    if records and left.pop(tp, None):
                        self._is_empty[tp.partition] = False
                for tp, (_, end) in [*left.items()]:
                    if await reader.position(tp) >= end:
                        del left[tp]
                        self._is_empty[tp.partition] = True
        finally:
            reader.assign([])  # or it would go on fetching
