"""Faust's aiokafka transport, handing an agent a batch of records as one event.

One Faust event costs 0.1 to 0.4 ms, more than all processing of a tick, so an event is a `Batch`:
consecutive records of one partition. What may be committed follows from what the agent reports as
answered. Faust's own acks are off: it acks an event in a `finally`, also when the loop's body
raised, its search for gaps in the offsets advances by one batch per commit, and what is acked but
not committed by Faust itself stays in its memory forever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, cast

from aiokafka.errors import (
    KafkaError,
    RebalanceInProgressError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from stream_app.kafka.retries import Outage
from stream_app.worker.group_client import GroupClient
from stream_app.worker.ledger import Batch, Ledger

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = 1.0
_POLL_S: Final = 0.2
"""A fetch that began before the group changed is waited for after it, for so long at most."""


class BatchConsumer(driver.Consumer):
    """A consumer whose messages carry a `Batch` each.

    Faust drops fetched records at many points: when the flow is suspended, when the generation
    changes, when a partition is paused. So the ledger alone knows from where each partition is
    read: a drop takes the partition's place away, and no fetch begins before every partition
    has one. There is one way to seek, and it needs no commit.
    """

    logger = logging.getLogger("faust")  # for what Faust logs of each service
    _thread: GroupClient

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.ledger = Ledger()
        self._kept: dict[TP, int] = {}
        """After a rebalance, where to continue in partitions that stayed here."""
        self._held: set[TP] = set()
        """Partitions of which nothing is read for a while."""
        self._agent_is_done = asyncio.Event()
        self._outage = Outage("the ticks", logger)
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> GroupClient:
        return GroupClient(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - faust's signature
        """Yield the fetched records as batches, the partitions in turn."""
        # All that comes meanwhile is one fetch, and one batch: in batches of their own, ticks would
        # queue up behind each other's fixed costs. And Faust would take 4,096 events ahead, a
        # backlog of a million ticks.
        # And where there is no partition to read, Faust would sleep for a second, also when there
        # is one meanwhile.
        while self._has_to_wait() and self.flow_active and not self.should_stop:
            self._agent_is_done.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._agent_is_done.wait(), _LOOK_AGAIN_S)
        records, active = await self._wait_next_records(min(timeout, _POLL_S))
        left = {tp: deque(fetched) for tp, fetched in (records or {}).items() if fetched}
        size = cast(Transport, self.transport).max_batch
        try:
            while left and self.flow_active and not self.should_stop:
                for tp, fetched in [*left.items()]:
                    if tp in self._held:
                        del left[tp]  # it has lost its place
                        continue
                    if not self._may_hand_out(tp, active):
                        return
                    if self._is_another_log(tp, fetched[0].offset):
                        await asyncio.sleep(_LOOK_AGAIN_S)
                        return
                    chunk = tuple(fetched.popleft() for _ in range(min(size, len(fetched))))
                    if not fetched:
                        del left[tp]
                    batch = self.ledger.hand_out(tp, chunk)
                    message = self._to_message(tp, chunk[-1])
                    message.value = cast(Any, batch)
                    yield tp, message
        finally:
            for tp in left:
                self.ledger.lose_place(tp)

    def _has_to_wait(self) -> bool:
        return self.ledger.is_busy or self._get_active_partitions() <= self._held

    def _may_hand_out(self, tp: TP, active: set[TP] | None) -> bool:
        """Whether records of the partition that were just fetched follow in its log."""
        is_active = active is None or tp in active or tp in self._buffered_partitions
        return self.flow_active and is_active and self.ledger.is_placed(tp)

    def _is_another_log(self, tp: TP, offset: int) -> bool:
        """Whether records come from before the place that the partition is read from.

        The client starts again at the beginning of a log that ends before its position. Such
        records are dropped: they have the offsets of answered ones, so answers to them would
        have the ids of others. The lag watch finds out what happened and ends the worker.
        """
        wanted = self.ledger.next_offset(tp)
        return wanted is not None and offset < wanted

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - faust's signature
        """Give each partition a place, then fetch."""
        if active_partitions is not None and self._held:
            active_partitions = active_partitions - self._held
            if not active_partitions:
                return {}  # an empty set would be all
        wanted = {
            tp: self._kept.get(tp) if (at := self.ledger.next_offset(tp)) is None else at
            for tp in active_partitions or ()
            if not self.ledger.is_placed(tp)
        }
        if wanted:
            try:
                placed = await self._thread.seek_each(wanted)
            except KafkaError as error:
                if not error.retriable:
                    raise
                await self._outage.wait(error)
                return {}
            self._outage.is_over()
            for tp, offset in placed.items():
                self.ledger.place(tp, offset, is_kept=self._kept.pop(tp, None) is not None)
                # Faust would drop what lies below the offset that it has read before.
                self._read_offset[tp] = None
        return await super()._getmany(active_partitions, timeout)

    async def perform_seek(self) -> None:
        """Read all partitions from their commits on. Called by Faust before it resumes."""
        self._forget(self.ledger.partitions())

    def resume_flow(self) -> None:
        """Resume after a pause, in which batches in flight may have been dropped."""
        self._forget(self.ledger.partitions())
        super().resume_flow()

    def read_again(self, tp: TP) -> None:
        """Read a partition from its commit on. Called when a batch cannot be answered."""
        self._kept.pop(tp, None)
        self._forget([tp])

    def hold(self, batch: Batch) -> None:
        """Read nothing of a batch's partition until `release`, and then from the batch on."""
        self.ledger.give_back(batch)
        self._held.add(batch.tp)

    def release(self, tp: TP) -> None:
        """Resume a partition that was held."""
        self._held.discard(tp)
        self._agent_is_done.set()

    async def wait_empty(self) -> None:
        """Wait until answers on their way have arrived, commit, and hand over what goes.

        Called when the group changes, before the client joins it again.

        Faust's own waits for messages to be acked, which these are not: up to a second each time.
        """
        transport = cast(Transport, self.transport)
        await transport.until_published()
        await self.commit_answered()
        await transport.hand_over()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Notify the application before any record of the new assignment flows."""
        self._forget(self.ledger.partitions())
        self._kept = dict(cast(Transport, self.transport).on_assigned(assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Notify the application, commit what is answered, then drop the partitions."""
        cast(Transport, self.transport).on_revoked()
        await super().on_partitions_revoked(revoked)
        self._forget(revoked)

    def _forget(self, tps: Iterable[TP]) -> None:
        self.ledger.forget(tps)
        self._agent_is_done.set()

    async def commit_at(self, tp: TP, offset: int) -> None:
        """Commit an offset that nothing was handed out for. Waits on the broker.

        Raises:
            RebalanceInProgressError: the group is changing; it can be tried again.
        """
        if not await self._thread.commit({tp: offset}):
            raise RebalanceInProgressError

    async def join_again(self) -> None:
        """Have the group divide its partitions again. Waits for the broker to name them."""
        await self._thread.join_again()

    async def leave(self) -> None:
        """Leave the group: the others take over at once. Waits on the broker.

        Called at the worker's end, after the last commit.
        """
        await self._thread.leave()

    async def commit_answered(self) -> None:
        """Commit all that is answered by now; `commit` does nothing while another is under way.

        Waits on the broker. Called at the worker's end: what is not committed is answered again.
        """
        while await self.maybe_wait_for_commit_to_finish():
            pass
        await self.commit()

    def done(self, batch: Batch) -> None:
        """The agent has finished with a batch, answered or not. Called by the agent."""
        self.ledger.done(batch)
        self._agent_is_done.set()

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (
            tp
            for tp in self.ledger.partitions()
            if topics is None or tp in topics or tp.topic in topics
        )

    def _new_offset(self, tp: TP) -> int | None:
        return self.ledger.committable(tp)

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        before = {tp: self._committed_offset[tp] for tp in offsets}
        committed = await super()._commit_offsets(offsets, start_new_transaction)
        if not committed:
            # Faust notes the offsets as committed even then; the next round must try again.
            self._committed_offset.update(before)
        return bool(committed)


class Transport(driver.Transport):
    """The aiokafka transport with the batch consumer."""

    Consumer = BatchConsumer

    def __init__(
        self,
        *args: Any,
        on_assigned: Callable[[set[TP]], Mapping[TP, int]],
        on_revoked: Callable[[], None],
        until_published: Callable[[], Awaitable[None]],
        hand_over: Callable[[], Awaitable[None]],
        topic_id: Callable[[], str],
        max_batch: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.on_assigned = on_assigned
        """Called in the event loop with each new assignment; must not block. Says where to go on
        in partitions that stayed here; the others are read from their commits on."""
        self.on_revoked = on_revoked
        """Called in the event loop when the group changes; must not block."""
        self.until_published = until_published
        """Waits until all that has been computed is acknowledged."""
        self.hand_over = hand_over
        """Publishes the states of what may be given to another worker."""
        self.topic_id = topic_id
        """The ticks topic's id as far as it is known. Called with each commit."""
        self.max_batch = max_batch
        """Records that a batch may have."""
