"""The group's position in the ticks partitions, and where it therefore continues."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from stream_app.errors import TopicError
from stream_app.kafka.group import GroupView
from stream_app.kafka.place import Place, made_anew
from stream_app.kafka.twins import require_twins
from stream_app.recovery.coverage import read_coverage
from stream_app.recovery.log_access import LogAccess
from stream_app.worker.consumer_actions import ConsumerActions

logger = logging.getLogger(__name__)


class Commits:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        access: LogAccess,
        *,
        consumer: ConsumerActions,
        note_count: Callable[[int], Awaitable[None]],
    ) -> None:
        """Know of no topic yet.

        Args:
            access: to the topics.
            consumer: of the ticks.
            note_count: told how many partitions the ticks have.
        """
        self._access = access
        self._consumer = consumer
        self._note_count = note_count
        self.topic_id = ""
        """Of the ticks topic; empty until the first request, and on brokers without topic ids."""
        self._view: GroupView | None = None
        self._connection = AsyncExitStack()
        """Kept open: while a worker connects, what it was given waits."""
        self._asking = asyncio.Lock()
        """A view answers one at a time."""

    async def close(self) -> None:
        """Disconnect. Called at the worker's end, and where the broker does not answer."""
        self._view = None
        await self._connection.aclose()

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[GroupView]:
        async with self._asking:
            try:
                if self._view is None:
                    self._view = await self._connection.enter_async_context(self._access.group())
                yield self._view
            except BaseException:
                await self.close()  # the next one connects again
                raise

    async def places(self, numbers: Collection[int]) -> dict[int, Place]:
        """Where the group stands in each of the partitions. Waits on the broker.

        Raises:
            TopicError: the commit belongs to another topic, or answers have no place to go to.
            KafkaError: the broker does not answer.
        """
        name = self._access.topics.ticks.name
        async with self._asked() as view:
            await require_twins(self._access.topics, view, max(numbers))
            topic = await view.known_topic()
            places = await view.places(topic, numbers)
        for place in places.values():
            if place.problem is not None:
                raise TopicError(place.problem)
        if self.topic_id and topic.topic_id != self.topic_id:
            raise TopicError(made_anew(name, self.topic_id, topic.topic_id))
        self.topic_id = topic.topic_id
        await self._note_count(topic.partitions)
        return places

    async def start(self, place: Place) -> int:
        """The offset to continue from: the commit, or what the bars cover where there is none.

        Waits on the broker.

        Raises:
            TopicError: the bars belong to another topic.
            KafkaError: the broker does not answer.
        """
        if place.committed is not None:
            return place.start
        covered = await read_coverage(self._access, place)
        if covered <= place.start:
            return place.start
        logger.warning(
            "partition %d: the group %s has committed no offset, but bars cover the ticks before "
            "offset %d; going on from there (`stream-app group reset` has all answered again)",
            place.partition,
            place.group,
            covered,
        )
        await self._consumer.commit(place.partition, covered)
        self._consumer.read_again(place.partition)
        return covered
