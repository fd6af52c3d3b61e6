"""Whatever Faust drops of what was fetched is read again, with a commit and without one."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.kafka.retries import Outage
from stream_app.worker.group_client import GroupClient
from stream_app.worker.ledger import Batch, Ledger
from stream_app.worker.transport import BatchConsumer

TPS = [TP("market.ticks.v1", number) for number in range(3)]
LOG = 40
"""Records of each partition; every seventh offset holds none, as after compaction."""


def holds_record(offset: int) -> bool:
    return offset % 7 != 3


@dataclass
class FakeClient:
    """aiokafka's consumer as far as it is used: positions, commits, assignment."""

    commits: dict[TopicPartition, int] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    assigned: set[TopicPartition] = field(default_factory=set)

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def committed(self, tp: TopicPartition) -> int | None:
        if tp not in self.assigned:
            raise IllegalStateError(f"{tp} is not assigned")
        return self.commits.get(tp)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        if tp not in self.assigned:
            raise IllegalStateError(f"{tp} is not assigned")
        self.positions[tp] = offset

    def fetch(self, tp: TopicPartition, most: int) -> list[Any]:
        """The next records, from the commit or the beginning where there is no position."""
        at = self.positions.setdefault(tp, self.commits.get(tp, 0))
        found = [offset for offset in range(at, LOG) if holds_record(offset)][:most]
        if found:
            self.positions[tp] = found[-1] + 1
        return [SimpleNamespace(offset=offset) for offset in found]


class FakeGroupClient(GroupClient):
    """The real seeking, without a loop or a broker."""

    def __init__(self, client: FakeClient) -> None:  # the parent's would need a loop
        self.client: Any = client
        self.most = 8
        self.during_fetch: Callable[[], Awaitable[None]] | None = None

    def _ensure_consumer(self) -> Any:
        return self.client

    def assignment(self) -> set[TP]:
        return {TP(*tp) for tp in self.client.assigned}

    async def getmany(self, active_partitions: Any, timeout: float) -> Any:
        found = {tp: self.client.fetch(tp, self.most) for tp in sorted(active_partitions)}
        if self.during_fetch is not None:
            happens, self.during_fetch = self.during_fetch, None
            await happens()
        return found


class Reading(BatchConsumer):
    """The real consumer over the fakes, and what Faust and the agent do around it."""

    should_stop = False

    def __init__(self) -> None:  # the parent's starts a thread
        self.ledger = Ledger()
        self._agent_is_done = asyncio.Event()
        self._outage = Outage("the ticks", logging.getLogger(__name__))
        self.client = FakeClient()
        self._thread = FakeGroupClient(self.client)
        self.app: Any = SimpleNamespace(client_only=False, consumer_generation_id=1)
        self.transport: Any = SimpleNamespace(
            max_batch=3, on_assigned=self.stayed, on_revoked=lambda: None
        )
        self.before: set[TP] = set()
        """The assignment before the last one."""
        self.not_waiting_next_records = self.can_resume_flow = asyncio.Event()
        self.suspend_flow = asyncio.Event()
        self._read_offset = defaultdict(lambda: None)
        self._committed_offset = defaultdict(lambda: None)
        self._buffered_partitions: set[TP] = set()
        self._kept, self._held = {}, set()
        self.active: set[TP] = set()
        self.flow_active = False
        self.queue: list[Batch] = []
        self.holds_next = False
        """Whether the next batch waits for what its symbols have elsewhere."""
        self.answered: dict[TP, set[int]] = {tp: set() for tp in TPS}
        self.seen_to: dict[TP, int] = dict.fromkeys(TPS, 0)
        """By partition, the offset after the last record that the state has seen."""

    def _get_active_partitions(self) -> set[TP]:
        return self.active

    def _to_message(self, tp: TP, record: Any) -> Any:
        return SimpleNamespace(offset=record.offset, value=None)

    def stayed(self, assigned: set[TP]) -> dict[TP, int]:
        """Of partitions that stayed, what the state has seen; of one it is not known for sure."""
        return {tp: self.seen_to[tp] for tp in assigned & self.before if tp != TPS[2]}

    async def rebalance(self, assigned: set[TP]) -> None:
        """As Faust goes through one; every partition gets a position again."""
        self.stop_flow()
        self.before = {TP(*tp) for tp in self.client.assigned}
        await self.on_partitions_revoked(self.before)
        self.active -= set(TPS)
        self.client.assigned = {TopicPartition(*tp) for tp in assigned}
        self.client.positions = {}
        self.app.consumer_generation_id += 1
        await self.on_partitions_assigned(assigned)
        self.queue = []
        self.release_all()  # nothing is brought while the group changes
        self.active |= assigned
        await self.perform_seek()
        self.resume_flow()

    def release_all(self) -> None:
        for tp in TPS:
            self.release(tp)

    async def suspend(self) -> None:
        """A pause of the flow without a rebalance."""
        self.stop_flow()
        self.resume_flow()

    async def pause_one(self) -> None:
        for tp in sorted(self.active)[:1]:
            self.active.discard(tp)

    async def drain(self, deliver: list[bool]) -> None:
        """As Faust's fetcher: what lies below its own read offset is dropped in silence."""
        assert self.queue or not self.ledger.is_busy, "it waits for batches that are nowhere"
        if self.active <= self._held:
            return  # it would wait
        async for tp, message in self.getmany(1.0):
            read = self._read_offset[tp]
            if read is not None and message.offset < read:
                continue
            self._read_offset[tp] = message.offset
            if deliver and not deliver.pop():
                await self.suspend()  # the message is dropped on its way to the agent
                continue
            self.queue.append(cast(Any, message.value))
        self.active |= {TP(*tp) for tp in self.client.assigned}

    def answer_next(self) -> None:
        """As the service: only what follows the state is answered."""
        if not self.queue:
            return
        batch = self.queue.pop(0)
        if not batch.is_void and self.holds_next:
            self.holds_next = False
            self.hold(batch)
        if not batch.is_void:
            committed = self.client.commits.get(TopicPartition(*batch.tp), 0)
            if batch.read_from > max(self.seen_to[batch.tp], committed):
                self.read_again(batch.tp)
            else:
                self.answered[batch.tp] |= {record.offset for record in batch.records}
                self.seen_to[batch.tp] = batch.last_offset + 1
                batch.is_answered = True
        self.done(batch)

    def commit_now(self) -> None:
        for tp in self.ledger.partitions():
            offset = self.ledger.committable(tp)
            if offset is not None and TopicPartition(*tp) in self.client.assigned:
                self.client.commits[TopicPartition(*tp)] = offset
                missing = set(filter(holds_record, range(offset))) - self.answered[tp]
                assert not missing, f"{tp} is committed past {sorted(missing)}"


@pytest.fixture(autouse=True)
def _without_faust(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", nothing)
    monkeypatch.setattr(driver.Consumer, "on_partitions_assigned", nothing)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("fetch"),
            st.sampled_from(["", "rebalance", "suspend", "pause"]),
            st.integers(1, 12),
            st.lists(st.booleans(), max_size=4),
        ),
        st.tuples(st.just("answer"), st.integers(1, 4)),
        st.tuples(st.just("commit")),
        st.tuples(st.just("rebalance"), st.sets(st.sampled_from(TPS), min_size=1)),
        st.tuples(st.just("suspend")),
        st.tuples(st.just("hold")),
        st.tuples(st.just("release")),
    ),
    max_size=25,
)


async def read_to_the_end(consumer: Reading) -> None:
    for _ in range(LOG):
        while consumer.queue:
            consumer.answer_next()
        await consumer.drain([])
    consumer.commit_now()


async def run(steps: list[tuple[Any, ...]]) -> None:
    consumer = Reading()
    await consumer.rebalance(set(TPS))

    async def again() -> None:
        await consumer.rebalance(set(TPS))

    events = {"rebalance": again, "suspend": consumer.suspend, "pause": consumer.pause_one}
    for kind, *details in steps:
        if kind == "fetch" and not consumer.ledger.is_busy:
            during, most, deliver = details
            consumer._thread.most = most  # type: ignore[attr-defined]
            consumer._thread.during_fetch = events.get(during)  # type: ignore[attr-defined]
            await consumer.drain(list(deliver))
        elif kind == "answer":
            for _ in range(details[0]):
                consumer.answer_next()
        elif kind == "commit":
            consumer.commit_now()
        elif kind == "rebalance":
            await consumer.rebalance(details[0])
        elif kind == "suspend":
            await consumer.suspend()
        elif kind == "hold":
            consumer.holds_next = True
        elif kind == "release":
            consumer.release_all()
    consumer.holds_next = False
    consumer.release_all()
    await read_to_the_end(consumer)  # as it is, for a rebalance would mend what is wrong
    await consumer.rebalance(set(TPS))
    await read_to_the_end(consumer)
    everything = set(filter(holds_record, range(LOG)))
    assert all(everything <= answered for answered in consumer.answered.values())
    assert set(consumer.client.commits.values()) == {LOG}


@settings(deadline=None)
@given(STEPS)
def test_after_any_drops_and_rebalances_every_record_is_answered(
    steps: list[tuple[Any, ...]],
) -> None:
    asyncio.run(run(steps))


@pytest.mark.parametrize("committed", [False, True], ids=["no commit", "a commit"])
@pytest.mark.parametrize(
    "dropped",
    [
        ("fetch", "rebalance", 8, []),
        ("fetch", "suspend", 8, []),
        ("fetch", "pause", 8, []),
        ("fetch", "", 8, [False]),
        ("fetch", "", 8, [False, True, True]),
    ],
    ids=["rebalance", "suspended flow", "paused partition", "first message", "later message"],
)
def test_what_is_dropped_at_each_moment_is_read_again(
    dropped: tuple[Any, ...], committed: bool
) -> None:
    before: list[tuple[Any, ...]] = [("fetch", "", 2, []), ("answer", 9), ("commit",)]
    asyncio.run(run([*(before if committed else []), dropped]))


async def test_a_partition_without_a_commit_is_sought_to_its_beginning() -> None:
    """aiokafka's `seek_to_committed` would leave it where its position has got to."""
    client = FakeClient(assigned={TopicPartition(*TPS[0])}, positions={TopicPartition(*TPS[0]): 30})
    placed = await FakeGroupClient(client).seek_each({TPS[0]: None, TPS[1]: None})
    assert placed == {TPS[0]: 0}
    assert client.positions == {TopicPartition(*TPS[0]): 0}
