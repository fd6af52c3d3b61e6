"""Keeps copies of this worker's partitions on its disk, so that a restart reads few bars.

What a worker answers from goes on with each tick, so it is not what is copied: a replica is, that
reads the bars up to the group's commit, as that of a restart does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream_app.kafka.connection import end_offset
from stream_app.kafka.place import Place
from stream_app.kafka.retries import Outage
from stream_app.recovery.local_copies import UNUSABLE
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.pauses import Rests
from stream_app.recovery.replica import Log, Replica
from stream_app.registry.disk import reason

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0
LEAST_BARS: Final = 2000
"""A restart reads so many in about 50 ms."""
SHARE: Final = 20
"""A copy is made anew once a twentieth of its bars has come: each is written 20 times at most."""


class _Known(NamedTuple):
    """Of the copy of one partition."""

    position: int = 0
    """Up to which offset bars are in it, or could not be copied."""
    bars: int = 0
    """In the windows."""
    commit: int = 0
    """Before this one too few of the bars are answered that were not when it was made."""

    @property
    def least(self) -> int:
        """With so many more bars it is made anew."""
        return max(LEAST_BARS, self.bars // SHARE)


class Keeper:
    """Lives in the event loop."""

    def __init__(
        self,
        access: LogAccess,
        *,
        partitions: Callable[[], Collection[int]],
        new_replica: Callable[[int, Log], Replica],
        is_busy: Callable[[], bool],
    ) -> None:
        """Have looked at nothing yet.

        Args:
            access: to the topics.
            partitions: that this worker answers.
            new_replica: makes one, at a commit, of a log.
            is_busy: whether ticks wait for a change of the group or a restore in this worker.
        """
        self._access = access
        self._partitions = partitions
        self._new_replica = new_replica
        self._rests = Rests(is_busy)
        self._known: dict[int, _Known] = {}
        """By partition."""
        self._refusal = ""
        """Why the disk took no file, once that is logged."""

    async def run(self) -> None:
        """Make copies where many bars have come. Never ends by itself; waits through an outage.

        Raises:
            BrokerError: a refusal, such as a right that is missing.
        """
        outage = Outage("the bars for the copies on this disk", logger)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
                outage.is_over()
            except (KafkaError, OSError) as error:
                await outage.wait(error)

    async def look(self) -> None:
        """Copy the partitions of which many bars have come. Waits on the broker and the disk.

        Raises:
            KafkaError, OSError: the broker does not answer.
        """
        access = self._access
        async with access.group() as view, access.readers.one() as consumer:
            topic = await view.known_topic()
            places = await view.places(topic, self._partitions())
            for _, place in sorted(places.items()):
                if place.problem is None and await self._is_due(place, consumer):
                    await self._copy(place, topic.partitions, consumer)

    async def _is_due(self, place: Place, consumer: AIOKafkaConsumer) -> bool:
        number = place.partition
        if number not in self._known:
            self._known[number] = await asyncio.to_thread(self._there, number)
        bars = TopicPartition(self._access.topics.bars.name, number)
        consumer.assign([bars])
        end = await end_offset(consumer, bars)
        if self._known[number].position > end:
            self._known[number] = _Known()  # the topic was recreated
        known = self._known[number]
        return end - known.position >= known.least and place.start >= known.commit

    def _there(self, number: int) -> _Known:
        try:
            with self._access.copies.reading(number) as copy:
                return _Known() if copy is None else _Known(copy.head.position, copy.head.bars)
        except UNUSABLE:
            return _Known()  # whoever begins with it says so

    async def _copy(self, place: Place, partitions: int, consumer: AIOKafkaConsumer) -> None:
        number, access = place.partition, self._access
        least = self._known[number].least

        def is_wanted() -> bool:
            return number in self._partitions()

        async def pause() -> bool:
            # What is not answered yet is kept as it was read, and no reason for a copy.
            return await self._rests.rest(is_wanted) and not replica.log.commit_for(least)

        replica = self._new_replica(place.start, Log.at(place, partitions))
        self._rests.begin()
        await replica.read_on(consumer, access.topics.bars.name, pause)
        if not is_wanted():
            return
        await replica.settle(place.start, pause)
        known = _Known(replica.position, replica.bars, replica.log.commit_for(least))
        self._known[number] = known
        try:
            head = await replica.copy_to(access.copies, pause)
        except OSError as error:
            self._note_refusal(number, error)
            return
        self._refusal = ""
        if head is not None:
            self._known[number] = known._replace(position=head.position)
            logger.info(
                "partition %d: a copy of %d bars of %d symbols is on this disk",
                number,
                head.bars,
                head.symbols,
            )

    def _note_refusal(self, number: int, error: OSError) -> None:
        why = reason(error)
        if why != self._refusal:
            logger.warning(
                "partition %d: no copy in %s: %s; a restart reads all bars",
                number,
                self._access.copies.path(number),
                why,
            )
        self._refusal = why
