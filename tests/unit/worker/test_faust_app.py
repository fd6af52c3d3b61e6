"""How Faust is set up: what bites is switched off, and the environment cannot switch it on."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP

from stream_app.agents.ticks import add_ticks_agent
from stream_app.kafka.topic_check import load_topics
from stream_app.sharing.reports import Report
from stream_app.worker import transport
from stream_app.worker.faust_app import build_faust_app
from stream_app.worker.ledger import Ledger
from stream_app.worker.no_tables import NoTables
from stream_app.worker.transport import BatchConsumer, Transport
from tests.builders import settings


async def nothing() -> None:
    pass


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> faust.App:
    for name, value in {
        "PROCESSING_GUARANTEE": "exactly_once",
        "WEB_PORT": "0",
        "APP_WEB_ENABLED": "1",
        "TOPIC_DISABLE_LEADER": "0",
        "BROKER_URL": "kafka://elsewhere:1",
    }.items():
        monkeypatch.setenv(name, value)
    chosen = settings(web_port=6066)
    return build_faust_app(
        chosen,
        load_topics(chosen.topics_file),
        on_assigned=lambda _: {},
        on_revoked=lambda: None,
        until_published=nothing,
        hand_over=nothing,
        topic_id=str,
        report=Report,
    )


async def test_it_has_no_tables_no_leader_topic_no_web_server_and_declares_nothing(
    app: faust.App,
) -> None:
    guarantee: Any = app.conf.processing_guarantee
    assert guarantee.value == "at_least_once"
    assert app.conf.web_enabled is False
    assert app.conf.topic_disable_leader is True
    assert app.conf.topic_allow_declare is False
    assert [str(url) for url in app.conf.broker] == ["kafka://localhost:9092"]
    assert not app.tables.data
    assert isinstance(app.transport, Transport)


async def test_a_start_does_not_wait_for_tables(app: faust.App) -> None:
    tables = app.tables
    assert isinstance(tables, NoTables)
    async with asyncio.timeout(5):
        await tables.sleep(600)


async def test_the_agent_answers_one_batch_at_a_time_from_raw_bytes(app: faust.App) -> None:
    topics = load_topics(settings().topics_file)
    service: Any = SimpleNamespace(answer=None)
    add_ticks_agent(app, topics, service)
    (agent,) = app.agents.values()
    assert agent.concurrency == 1
    assert agent.channel.schema.value_serializer == "raw"
    assert agent.channel.schema.key_serializer == "raw"


TICKS = TP("market.ticks.v1", 0)


@pytest.fixture
def consumer() -> Any:
    """The consumer's bookkeeping, without the tasks that a real one starts."""
    made: Any = object.__new__(BatchConsumer)
    made.ledger = Ledger()
    made.ledger.place(TICKS, 0)
    made._agent_is_done = asyncio.Event()
    made.transport = SimpleNamespace(max_batch=4)
    made._committed_offset = defaultdict(lambda: None)
    made._active_partitions, made._kept, made._held = {TICKS}, {}, set()
    return made


async def test_faust_keeps_no_acks_of_its_own(app: faust.App) -> None:
    """It would keep each acked offset until a commit of its own, which never comes."""
    topics = load_topics(settings().topics_file)
    service: Any = SimpleNamespace(answer=None)
    add_ticks_agent(app, topics, service)
    (agent,) = app.agents.values()
    conductor: Any = app.topics
    conductor.add(agent.channel)
    await conductor._update_indices()
    assert not conductor.acks_enabled_for(topics.ticks.name)


def test_a_batch_that_the_agent_is_done_with_is_not_committed_unless_it_is_answered(
    consumer: Any,
) -> None:
    record: Any = SimpleNamespace(offset=7)
    batch = consumer.ledger.hand_out(TICKS, (record,))
    consumer.done(batch)
    assert consumer._filter_committable_offsets([TICKS]) == {}
    batch.is_answered = True
    assert consumer._filter_committable_offsets([TICKS]) == {TICKS: 8}


async def test_a_commit_that_failed_is_tried_again(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Any, offsets: Any, start: bool = True) -> bool:
        self._committed_offset.update(offsets)  # as Faust does, whatever came of it
        return False

    monkeypatch.setattr("faust.transport.consumer.Consumer._commit_offsets", refuse)
    assert not await consumer._commit_offsets({TICKS: 8})
    assert consumer._should_commit(TICKS, 8)


async def test_the_last_commit_is_not_left_to_one_that_is_under_way(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = []

    async def force_commit(*_: Any, **__: Any) -> bool:
        commits.append(1)
        return True

    monkeypatch.setattr(BatchConsumer, "force_commit", force_commit)
    consumer.app, consumer.loop = SimpleNamespace(client_only=False), asyncio.get_running_loop()
    under_way = consumer._commit_fut = asyncio.Future()
    last = asyncio.create_task(consumer.commit_answered())
    await asyncio.sleep(0)
    assert not commits
    consumer._commit_fut = None
    under_way.set_result(None)
    await last
    assert len(commits) == 1


async def test_no_more_is_fetched_until_the_agent_is_done_with_all_of_the_last_fetch(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = []

    async def fetch(self: Any, timeout: float) -> tuple[None, None]:
        fetches.append(timeout)
        return None, None

    monkeypatch.setattr(BatchConsumer, "_wait_next_records", fetch)
    consumer.app, consumer.loop = SimpleNamespace(), asyncio.get_running_loop()
    consumer.app.consumer_generation_id = 1
    monkeypatch.setattr(BatchConsumer, "should_stop", False)
    batches = [
        consumer.ledger.hand_out(TICKS, (SimpleNamespace(offset=number),)) for number in range(2)
    ]

    async def fetch_once() -> None:
        async for _ in consumer.getmany(1.0):
            pass

    waiting = asyncio.create_task(fetch_once())
    for each in batches:
        for _ in range(5):
            await asyncio.sleep(0)
        assert not fetches
        consumer.done(each)
    await waiting
    assert fetches == [transport._POLL_S]


async def test_the_first_partition_is_read_as_soon_as_the_group_has_changed(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = []

    async def fetch(self: Any, timeout: float) -> tuple[None, None]:
        fetches.append(timeout)
        return None, None

    monkeypatch.setattr(transport, "_LOOK_AGAIN_S", 1000.0)
    monkeypatch.setattr(BatchConsumer, "_wait_next_records", fetch)
    monkeypatch.setattr(BatchConsumer, "should_stop", False)
    consumer.flow_active, consumer._active_partitions = True, set()
    consumer.can_resume_flow = consumer.suspend_flow = asyncio.Event()

    async def fetch_once() -> None:
        async for _ in consumer.getmany(1.0):
            pass

    waiting = asyncio.create_task(fetch_once())
    await asyncio.sleep(0)
    assert not fetches
    consumer._active_partitions.add(TICKS)
    consumer.resume_flow()
    await asyncio.wait_for(waiting, 60)
    assert len(fetches) == 1


async def test_a_held_partition_is_not_read_and_the_others_are(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TP(TICKS.topic, 1)
    consumer.ledger.place(other, 0)
    records = [SimpleNamespace(offset=number) for number in range(3)]
    batch = consumer.ledger.hand_out(TICKS, tuple(records))
    consumer.hold(batch)
    asked = []

    async def fetch(_: Any, active: set[TP], timeout: float) -> dict[TP, list[Any]]:
        asked.append(active)
        return {}

    monkeypatch.setattr("faust.transport.consumer.ThreadDelegateConsumer._getmany", fetch)
    await consumer._getmany({TICKS, other}, 1.0)
    assert asked == [{other}]
    assert await consumer._getmany({TICKS}, 1.0) == {}
    assert asked == [{other}], "an empty set would have been all"
    consumer.release(TICKS)
    assert consumer.ledger.next_offset(TICKS) == 0
    assert not consumer.ledger.is_placed(TICKS)


async def test_a_fetch_is_cut_into_batches_of_the_set_size_the_partitions_in_turn(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TP(TICKS.topic, 1)
    consumer.ledger.place(other, 0)

    async def fetch(self: Any, timeout: float) -> tuple[dict[TP, list[Any]], None]:
        of_one = [SimpleNamespace(offset=number) for number in range(6)]
        return {TICKS: of_one, other: of_one[:3]}, None

    monkeypatch.setattr(BatchConsumer, "_wait_next_records", fetch)
    monkeypatch.setattr(BatchConsumer, "_to_message", lambda *_: SimpleNamespace())
    monkeypatch.setattr(BatchConsumer, "should_stop", False)
    consumer.app = SimpleNamespace(consumer_generation_id=1)
    consumer.flow_active, consumer._buffered_partitions = True, set()
    batches = [message.value async for _, message in consumer.getmany(1.0)]
    assert [(each.tp, each.first_offset, each.last_offset) for each in batches] == [
        (TICKS, 0, 3),
        (other, 0, 2),
        (TICKS, 4, 5),
    ]


async def test_records_from_before_the_place_are_of_another_log_and_are_not_handed_out(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client starts at the beginning where the log ends before its position."""
    consumer.ledger.place(TICKS, 500)

    async def fetch(self: Any, timeout: float) -> tuple[dict[TP, list[Any]], None]:
        return {TICKS: [SimpleNamespace(offset=number) for number in range(6)]}, None

    monkeypatch.setattr(transport, "_LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(BatchConsumer, "_wait_next_records", fetch)
    monkeypatch.setattr(BatchConsumer, "should_stop", False)
    consumer.app = SimpleNamespace(consumer_generation_id=1)
    consumer.flow_active, consumer._buffered_partitions = True, set()
    assert [message async for _, message in consumer.getmany(1.0)] == []
    assert not consumer.ledger.is_placed(TICKS)
    assert consumer.ledger.next_offset(TICKS) == 500
