"""A restart: ready when it is warm, 503 before; and the commits that it goes by."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.feed.synthetic import synthetic_ticks
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics
from stream_app.settings import Settings
from tests.builders import START_MS
from tests.conftest import SettingsFor, needs_kafka
from tests.figures import LONG, note
from tests.workers import DEADLINE_S, WorkerProcess, feed, read_all, read_until, ready

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True),
]

SYMBOLS = 20 if LONG else 4
BARS = 8640 if LONG else 200


async def warm(worker: WorkerProcess) -> tuple[float, set[int]]:
    """Seconds from the start of the process to ready, and what was answered before."""
    began, seen = time.monotonic(), set()
    async with asyncio.timeout(DEADLINE_S * 3):
        while (status := await ready(worker)) != 200:
            assert worker.process.poll() is None, worker.text()
            seen.add(status)
            await asyncio.sleep(0.02)
    return time.monotonic() - began, seen


async def test_a_month_of_many_symbols_is_warm_again_and_says_503_until_then(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, broker: Any
) -> None:
    settings = settings_for(min_training_bars=8640)
    names = [f"S{number}" for number in range(SYMBOLS)]
    # Two ticks a bar make a month of bars without a month of ticks.
    endless = synthetic_ticks(symbols=names, seed=6, start_ms=START_MS, interval_ms=150_000)
    ticks = list(itertools.islice(endless, SYMBOLS * BARS * 2))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, ticks)
        await read_until_committed(worker, topics_on_broker, len(ticks))
        worker.kill()
        await asyncio.sleep(settings.kafka_session_timeout_seconds)  # the group forgets the dead
        worker.start()
        seconds, before = await warm(worker)
        restored = [int(n) for n in re.findall(r"restored \d+ symbols, (\d+) bars", worker.text())]
        assert worker.terminate() == 0, worker.text()
    note(
        f"restart with {SYMBOLS} symbols and {sum(restored):,} bars, process start to ready",
        "at most 15 s" if LONG else "-",
        f"{seconds:.1f} s",
    )
    assert 503 in before
    assert sum(restored) >= SYMBOLS * (BARS - 3)


async def read_until_committed(worker: WorkerProcess, topics: Topics, count: int) -> None:
    async with asyncio.timeout(DEADLINE_S * 5):
        while True:
            assert worker.process.poll() is None, worker.text()
            done = await offsets(worker.settings, topics.ticks.name, committed=True)
            if sum(done.values()) >= count:
                return
            await asyncio.sleep(0.2)


async def offsets(settings: Settings, topic: str, *, committed: bool) -> dict[int, int]:
    """By partition, the end of a topic or the offset that the group has committed."""
    consumer = AIOKafkaConsumer(
        **client_settings(settings), group_id=settings.consumer_group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        tps = [TopicPartition(topic, number) for number in range(4)]
        if not committed:
            return {tp.partition: end for tp, end in (await consumer.end_offsets(tps)).items()}
        return {tp.partition: await consumer.committed(tp) or 0 for tp in tps}
    finally:
        await consumer.stop()


async def test_commits_never_run_ahead_of_predictions_and_catch_up_at_once(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(min_training_bars=8640)
    names = [f"S{number}" for number in range(8)]
    endless = synthetic_ticks(symbols=names, seed=6, start_ms=START_MS, interval_ms=15_000)
    ticks = list(itertools.islice(endless, 60_000 if LONG else 20_000))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, ticks)
        looks = 0
        async with asyncio.timeout(DEADLINE_S * 2):
            while True:
                # The commits first: predictions may only grow until they are counted.
                done = await offsets(settings, topics_on_broker.ticks.name, committed=True)
                said = await offsets(settings, topics_on_broker.predictions.name, committed=False)
                assert all(done[number] <= said[number] for number in done), (done, said)
                looks += 1
                if sum(done.values()) == len(ticks):
                    break
                assert worker.process.poll() is None, worker.text()
        assert worker.terminate() == 0, worker.text()
    note("committed offsets beside predictions", "never ahead", f"0 of {looks} looks ahead")


async def test_gaps_in_the_log_do_not_hold_the_commits(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    """An aborted transaction leaves offsets that no consumer is given."""
    from aiokafka import AIOKafkaProducer

    from stream_app.messages.ticks import encode_tick
    from tests.builders import walk

    settings = settings_for(min_training_bars=8640)
    producer = AIOKafkaProducer(
        **client_settings(settings), transactional_id=f"t-{settings.consumer_group}"
    )
    ticks = list(walk(600, symbol="A"))
    await producer.start()
    try:
        for number in range(6):
            await producer.begin_transaction()
            for tick in ticks[number * 100 : (number + 1) * 100]:
                await producer.send(
                    topics_on_broker.ticks.name, encode_tick(tick), key=b"A", partition=0
                )
            await producer.commit_transaction()
    finally:
        await producer.stop()
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await read_until(worker, topics_on_broker.predictions, 600)
        async with asyncio.timeout(DEADLINE_S):
            # 600 ticks and the markers between the transactions; the last marker is not handed out.
            while (await offsets(settings, topics_on_broker.ticks.name, committed=True))[0] < 605:
                await asyncio.sleep(0.2)
        assert worker.terminate() == 0, worker.text()
    assert len(await read_all(settings, topics_on_broker.predictions)) == 600
