"""Ticks of a transactional producer: those of aborted transactions are no ticks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from stream_app.kafka.connection import client_settings
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics
from stream_app.messages.ticks import encode_tick
from tests.broker.test_partitioners import fetched
from tests.builders import walk
from tests.conftest import SettingsFor, needs_kafka
from tests.workers import WorkerProcess, read_all, read_until, until_ready

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True),
]

WATCHDOG_S = 5.0
COUNT = 100


async def test_a_log_that_ends_with_a_marker_is_read_without_a_wait(
    settings_for: SettingsFor, topics_on_broker: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client waits in vain for a record there: a restart took seconds for each partition."""
    waits_ms: list[int] = []
    client = client_settings(settings_for())
    tp = TopicPartition(topics_on_broker.ticks.name, 0)
    async with AIOKafkaProducer(**client, transactional_id=f"m-{tp.topic}") as producer:
        for is_kept in (True, False):
            await producer.begin_transaction()
            await producer.send_and_wait(tp.topic, b"{}", partition=0)
            await (producer.commit_transaction() if is_kept else producer.abort_transaction())
    async with open_reader(client) as reader:
        while await reader.end_offsets([tp]) != {tp: 4}:  # the markers come a moment later
            await asyncio.sleep(0.05)
        getmany = reader.getmany

        async def noted(*tps: TopicPartition, timeout_ms: int = 0, **more: Any) -> Any:
            waits_ms.append(timeout_ms)
            return await getmany(*tps, timeout_ms=timeout_ms, **more)

        monkeypatch.setattr(reader, "getmany", noted)
        assert [record.offset async for record in read_range(reader, tp, 0, None)] == [0]
        assert waits_ms
        assert max(waits_ms) < 900


async def test_what_was_aborted_is_not_answered_and_keeps_no_worker_waiting(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    """The log ends with an aborted transaction: a thousand records that no consumer is given."""
    settings = settings_for(min_training_bars=8640, watchdog_seconds=WATCHDOG_S)
    name = topics_on_broker.ticks.name
    producer = AIOKafkaProducer(
        **client_settings(settings), transactional_id=f"t-{settings.consumer_group}"
    )
    ticks = list(walk(4 * COUNT, symbol="A"))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await until_ready(worker)
        await producer.start()
        try:
            for number in range(4):
                await producer.begin_transaction()
                for tick in ticks[number * COUNT : (number + 1) * COUNT]:
                    await producer.send(name, encode_tick(tick), key=b"A", partition=0)
                if number % 2:
                    await producer.abort_transaction()
                else:
                    await producer.commit_transaction()
            await read_until(worker, topics_on_broker.predictions, 2 * COUNT)
            await asyncio.sleep(2 * WATCHDOG_S)  # the feed is silent

            assert worker.process.poll() is None, worker.text()
            assert json.loads(await fetched(worker, "status"))["lag"] == 0

            await producer.begin_transaction()  # one that stays open holds back nothing before it
            await producer.send(name, encode_tick(ticks[-1]), key=b"A", partition=0)
            await asyncio.sleep(2 * WATCHDOG_S)
            assert worker.process.poll() is None, worker.text()
            worker.kill()
            worker.start()
            await until_ready(worker)
            await producer.commit_transaction()
            await read_until(worker, topics_on_broker.predictions, 2 * COUNT + 1)
        finally:
            await producer.stop()
        assert worker.terminate() == 0, worker.text()
    records = await read_all(settings, topics_on_broker.predictions)
    answered = [json.loads(record.value)["ts"] for record in records if record.value]
    wanted = [*ticks[:COUNT], *ticks[2 * COUNT : 3 * COUNT], ticks[-1]]
    assert answered == [tick.ts for tick in wanted]
