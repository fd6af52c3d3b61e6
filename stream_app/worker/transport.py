"""Faust's aiokafka transport, handing an agent a batch of records as one event.

One Faust event costs 0.1 to 0.4 ms, more than all that is done with a tick, so an event is a
`Batch`: consecutive records of one partition. What may be committed follows from what the agent
says it has answered. Faust's own acks are off: it acks an event in a `finally`, also when the
loop's body raised, its search for gaps in the offsets advances by one batch per commit, and what is
acked but not committed by Faust itself stays in its memory for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import product
from typing import Any, Final, cast

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from stream_app.kafka.connection import FETCH_MAX_WAIT_MS
from stream_app.worker.ledger import Batch, Ledger

_LOOK_AGAIN_S: Final = 1.0


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with a short wait for fetches."""

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes 1,500 ms.
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS  # noqa: SLF001 - Faust passes no other way
        return consumer


class BatchConsumer(driver.Consumer):
    """A consumer whose messages carry a `Batch` each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.ledger = Ledger()
        self._room = asyncio.Event()
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - faust's signature
        """Yield the fetched records as batches, the partitions in turn."""
        # All that comes meanwhile is one fetch, and one batch: in batches of their own, ticks would
        # queue up behind each other's fixed costs. And Faust would take 4,096 events ahead, a
        # backlog of a million ticks.
        while self.ledger.is_busy and self.flow_active and not self.should_stop:
            self._room.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), _LOOK_AGAIN_S)
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            # Rebalancing: what was fetched meanwhile is fetched again from the commit.
            await self.perform_seek()
            return
        wanted = {
            tp: fetched
            for tp, fetched in records.items()
            if active is None or tp in active or tp in self._buffered_partitions
        }
        most = max(map(len, wanted.values()), default=0)
        size = cast(Transport, self.transport).max_batch
        for at, (tp, fetched) in product(range(0, most, size), wanted.items()):
            chunk = tuple(fetched[at : at + size])
            if not chunk:
                continue
            if not self.flow_active or self.app.consumer_generation_id != generation:
                break
            batch = Batch(tp, chunk)
            self.ledger.hand_out(batch)
            message = self._to_message(tp, chunk[-1])
            message.value = cast(Any, batch)
            yield tp, message

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; what was handed out is forgotten."""
        self._forget(self.ledger.partitions())
        await super().perform_seek()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Tell the application before any record of the new assignment flows."""
        cast(Transport, self.transport).on_assigned(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit what is answered, then forget the partitions."""
        await super().on_partitions_revoked(revoked)
        self._forget(revoked)

    def _forget(self, tps: Iterable[TP]) -> None:
        self.ledger.forget(tps)
        self._room.set()

    async def commit_answered(self) -> None:
        """Commit all that is answered by now; `commit` does nothing while another is under way.

        Waits on the broker. Called at the worker's end: what is not committed is answered again.
        """
        while await self.maybe_wait_for_commit_to_finish():
            pass
        await self.commit()

    def through(self, batch: Batch) -> None:
        """The agent is through with a batch, answered or not. Called by the agent."""
        self.ledger.take_back(batch)
        self._room.set()

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
        on_assigned: Callable[[set[TP]], None],
        max_batch: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.on_assigned = on_assigned
        """Called in the event loop with each new assignment; must not block."""
        self.max_batch = max_batch
        """Records that a batch may have."""
