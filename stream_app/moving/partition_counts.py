"""How many partitions the ticks topic has had: where a symbol was before follows from it.

Each bar's state says what its worker knew. Kafka itself remembers only the count now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import TopicPartition

from stream_app.kafka.connection import end_offset
from stream_app.kafka.reader import read_range
from stream_app.messages.codec import decode_bar
from stream_app.recovery.log_access import LogAccess


class PartitionCounts:
    """What this worker knows. Lives in the event loop."""

    def __init__(self, access: LogAccess) -> None:
        """Know nothing yet.

        Args:
            access: to the topics.
        """
        self._access = access
        self._asking = asyncio.Lock()
        self.counts: tuple[int, ...] = ()
        """Rising; the last is the count now."""

    async def learn(self, now: int, said: Iterable[int] = ()) -> tuple[int, ...]:
        """Take note of a count.

        Where no bar that was read says this count, the newest bar of each partition is read:
        partitions were added while this worker did not look, and more than once perhaps.

        Args:
            now: as the broker says.
            said: by bars.

        Returns:
            All counts.

        Raises:
            KafkaError: the broker does not answer.
        """
        async with self._asking:
            found = {*self.counts, *said}
            if now not in found:
                found |= await self._read_newest(now)
            self.counts = tuple(sorted(count for count in {*found, now} if 0 < count <= now))
        return self.counts

    async def _read_newest(self, partitions: int) -> set[int]:
        found: set[int] = set()
        async with self._access.readers.one() as consumer:
            for number in range(partitions):
                tp = TopicPartition(self._access.topics.bars.name, number)
                consumer.assign([tp])
                end = await end_offset(consumer, tp)
                async for record in read_range(consumer, tp, end - 1, end):
                    try:
                        bar = decode_bar(record.value or b"")
                        found |= {int(count) for count in bar.state.get("counts", ())}
                    except (ValueError, TypeError):
                        continue  # a restore says what is wrong with it
        return found
