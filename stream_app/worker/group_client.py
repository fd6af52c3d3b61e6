"""Faust's client of the group: commits with the topic's id, one way to seek, and its membership.

Faust runs it in a thread of its own. Here it runs in the worker's event loop, so that a tick need
not change from thread to thread (docs/decisions/0025-one-event-loop.md). Nothing may block that
loop for as long as the session timeout.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream_app.errors import WorkerFault
from stream_app.kafka.connection import FETCH_MAX_WAIT_MS, ISOLATION_LEVEL

logger = logging.getLogger(__name__)

_FORGOTTEN: Final = 3
"""So often within a session timeout the broker forgets a member only for another of its name."""


class GroupClient(driver.AIOKafkaConsumerThread):
    """Faust's client of the group, with a short wait for fetches and one way to seek."""

    logger = logging.getLogger("faust")  # for what Faust logs of each service

    def __init__(self, consumer: Any, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **kwargs)

    async def start(self) -> None:
        """Connect. Waits on the broker. mode would start a thread for it."""
        self._thread_started.set()
        await self._default_start()

    async def stop(self) -> None:
        """Leave the group and close. Waits on the broker. mode would wait for its thread."""
        if self._started.is_set() and not self._stopped.is_set():
            self._stopped.set()
            await self.on_thread_stop()
            await self._default_stop_futures()
            await self._default_stop_exit_stacks()

    def _get_tasks(self) -> Iterable[Any]:
        """None: mode's keep a thread's loop awake."""
        return ()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client: there is no thread to hand it to."""
        result = fun(*args, **kwargs)
        return await result if isawaitable(result) else result

    def close(self) -> None:
        """Do nothing: Faust's does not wait for what it closes, and `stop` comes after it."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust has a setting for neither. It waits for 1,500 ms.
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001
        consumer._isolation_level = ISOLATION_LEVEL  # noqa: SLF001
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, and watch that a static member stays the only one of its name."""
        await super().on_start()
        if self.app.conf.consumer_group_instance_id:
            self._watch_membership()

    async def on_thread_stop(self) -> None:
        """Close the client, and let no error of that end in a traceback.

        Closing raises while the client is in trouble: a fetch that waits to be repeated passes on
        that it was cancelled, and a connection that is being made cannot be closed.
        """
        try:
            await super().on_thread_stop()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the client ends here
            logger.info("the consumer was not closed in order: %r", error)

    def _watch_membership(self) -> None:
        """End the worker when the broker refuses it, or forgets it again and again.

        Then another has its name. The client would hang, or join again each time, and so would the
        other: both would answer everything.
        """
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - it tells nobody
        reset, push = coordinator.reset_generation, coordinator._push_error_to_user  # noqa: SLF001
        forgotten: deque[float] = deque(maxlen=_FORGOTTEN)

        def end(why: str) -> None:
            conf = self.app.conf
            error = WorkerFault(
                f"the group {conf.id} does not keep KAFKA_GROUP_INSTANCE_ID="
                f"{conf.consumer_group_instance_id} ({why}): another worker has it too; give each "
                "its own"
            )
            self._ending = self.loop.create_task(self.crash(error))

        def noted_reset() -> None:
            # Each request that was under way when a membership was lost resets once more.
            if coordinator.generation > 0:
                forgotten.append(self.loop.time())
                within_s = forgotten[-1] - forgotten[0]
                if len(forgotten) == _FORGOTTEN and within_s < self.app.conf.broker_session_timeout:
                    end(f"forgotten {_FORGOTTEN} times")
            reset()

        def noted_error(error: Exception) -> Any:
            if type(error) is KafkaError:  # it knows no name for the code of a fenced member
                end(f"{error}")
                # Whoever fetches would end the worker by this error before, with a traceback.
                return asyncio.wait([coordinator._closing])  # noqa: SLF001 - as `push` waits
            return push(error)

        coordinator.reset_generation = noted_reset
        coordinator._push_error_to_user = noted_error  # noqa: SLF001

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, with the topic's id as metadata of each offset: it identifies the offset's
        topic.
        """
        topic_id = cast(Any, self.transport).topic_id()  # of transport.py, which imports this
        here = self.assignment()
        noted = {
            TopicPartition(*tp): OffsetAndMetadata(offset, topic_id)
            for tp, offset in offsets.items()
            if tp in here
        }
        try:
            await self._ensure_consumer().commit(noted)
        except CommitFailedError as error:
            logger.info("cannot commit (%s); what is not committed is answered again", error)
            return False
        except Exception as error:  # noqa: BLE001 - as Faust's own
            await self.crash(error)
            return False
        return True

    async def join_again(self) -> None:
        """Have the group divide its partitions again. Waits for the broker to name them."""
        consumer = self._ensure_consumer()
        # The group's leader must know all partitions.
        await consumer._client.force_metadata_update()  # noqa: SLF001 - it looks each 30 s
        consumer._coordinator.request_rejoin()  # noqa: SLF001 - Java's enforceRebalance

    async def leave(self) -> None:
        """Leave the group, so that others take over without waiting for the session to end.

        Waits on the broker.
        """
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - it has no public name
        # A static member does not leave by itself, and the broker would wait for its return.
        coordinator._group_instance_id = None  # noqa: SLF001
        await asyncio.shield(coordinator.close())  # one that is cancelled would never leave

    async def seek_each(self, wanted: Mapping[TP, int | None]) -> dict[TP, int]:
        """Seek each partition to an offset; None is its commit, or the log's beginning.

        Waits on the broker. aiokafka's own `seek_to_committed` leaves a partition that has no
        commit where its position has got to, past what was fetched and dropped.

        Returns:
            Where each stands now; without those that went to another worker meanwhile.
        """
        consumer = self._ensure_consumer()
        here = {tp: TopicPartition(*tp) for tp in wanted.keys() & self.assignment()}
        beginnings = await consumer.beginning_offsets(list(here.values()))
        placed = {}
        for tp, partition in here.items():
            with suppress(IllegalStateError):  # it went to another worker meanwhile
                offset = wanted[tp]
                if offset is None:
                    offset = await consumer.committed(partition) or 0
                offset = max(offset, beginnings[partition])
                consumer.seek(partition, offset)
                placed[tp] = offset
        return placed
