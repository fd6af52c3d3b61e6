"""What every part of the worker needs that reads the topics, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from stream_app.kafka.group import GroupView, open_group
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.copy_parts import maker
from stream_app.recovery.local_copies import LocalCopies
from stream_app.settings import Settings

IDLE: Final = 2
"""Connected readers that are kept: a takeover waits for each connection that it has to make."""


class Readers:
    """Consumers of no group, kept connected between two uses. Lives in the event loop."""

    def __init__(self, client_settings: dict[str, Any]) -> None:
        """Connect none yet.

        Args:
            client_settings: how to connect.
        """
        self.client_settings = client_settings
        self._idle: list[tuple[AIOKafkaConsumer, AsyncExitStack]] = []
        self._is_closed = False

    @asynccontextmanager
    async def one(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A reader for the functions of `kafka/reader.py`. Waits on the broker.

        One whose use ended in an error is not used again.

        Raises:
            KafkaError: the broker does not answer.
        """
        consumer, connection = self._idle.pop() if self._idle else await self._connected()
        try:
            yield consumer
        except BaseException:
            await connection.aclose()
            raise
        await self._keep(consumer, connection)

    async def prepare(self) -> None:
        """See to it that the next ones need not connect. Waits on the broker."""
        while len(self._idle) < IDLE and not self._is_closed:
            await self._keep(*await self._connected())

    async def _connected(self) -> tuple[AIOKafkaConsumer, AsyncExitStack]:
        connection = AsyncExitStack()
        return await connection.enter_async_context(open_reader(self.client_settings)), connection

    async def _keep(self, consumer: AIOKafkaConsumer, connection: AsyncExitStack) -> None:
        if len(self._idle) < IDLE and not self._is_closed:
            consumer.assign([])  # or it would continue fetching
            self._idle.append((consumer, connection))
        else:
            await connection.aclose()

    async def close(self) -> None:
        """Disconnect. Called at the worker's end."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop()[1].aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAccess:
    """The settings and connections for reading the topics, and who is notified of progress."""

    settings: Settings
    topics: Topics
    readers: Readers
    on_progress: Callable[[], None]
    """Called now and then: the watchdog waits for it."""

    def group(self) -> AbstractAsyncContextManager[GroupView]:
        """A check of the group's position in the ticks."""
        return open_group(
            self.readers.client_settings,
            group=self.settings.consumer_group,
            topic=self.topics.ticks.name,
        )

    @property
    def copies(self) -> LocalCopies:
        """The copies of windows on this disk."""
        made_by = maker(self.topics.ticks.name, PredictionSettings.of(self.settings))
        return LocalCopies(self.settings.data_dir, self.topics.bars.name, made_by)

    async def go_on(self) -> bool:
        """Between two pieces of work that somebody waits for: other tasks run."""
        self.on_progress()
        await asyncio.sleep(0)
        return True
