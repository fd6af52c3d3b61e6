"""Ticks that retention has removed: said in the log and in `degraded`, never silently left out."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_app.kafka.connection import client_settings
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics
from stream_app.prediction.observation import HISTORY_LOST
from stream_app.settings import Settings
from tests.builders import walk
from tests.conftest import SettingsFor, needs_kafka
from tests.workers import WorkerProcess, feed, read_all, read_until

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True),
]

BEFORE, REMOVED_TO, ALL = 300, 2500, 3000
SMALL = {"bar_seconds": 60, "training_window_days": 1, "min_training_bars": 1440}
TICKS = list(walk(ALL, symbol="A"))


async def remove(settings: Settings, topics: Topics, before: int) -> None:
    """Remove the ticks before an offset, as retention does."""
    admin = AIOKafkaAdminClient(**client_settings(settings))
    async with open_reader(client_settings(settings)) as reader:
        tps = [TopicPartition(topics.ticks.name, n) for n in range(topics.ticks.partitions)]
        ends = await reader.end_offsets(tps)
    (used,) = [tp for tp in tps if ends[tp]]
    await admin.start()
    try:
        await admin.delete_records({used: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


async def answers(settings: Settings, topics: Topics) -> dict[int, Any]:
    """By the tick's offset, its prediction."""
    records = await read_all(settings, topics.predictions)
    messages = [orjson.loads(record.value or b"") for record in records]
    return {message["source"]["offset"]: message for message in messages}


def removed(worker: WorkerProcess) -> tuple[int, int]:
    """The first and the last offset that the log names."""
    (found,) = re.findall(r"retention has removed the ticks (\d+) to (\d+)", worker.text())
    return int(found[0]), int(found[1])


async def test_a_restart_after_which_ticks_are_gone_says_so(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, TICKS[:BEFORE])
        await read_until(worker, topics_on_broker.predictions, BEFORE)
        assert worker.terminate() == 0, worker.text()
        await feed(settings, TICKS[BEFORE:])
        await remove(settings, topics_on_broker, REMOVED_TO)
        worker.start()
        await read_until(worker, topics_on_broker.predictions, BEFORE + ALL - REMOVED_TO)
        first, last = removed(worker)
        assert worker.terminate() == 0, worker.text()
    seen = await answers(settings, topics_on_broker)
    assert sorted(seen) == [*range(BEFORE), *range(REMOVED_TO, ALL)]
    assert first <= BEFORE
    assert last == REMOVED_TO - 1
    # 60 s a bar and 15 s a tick: 77 bars, the features' reach, are 308 ticks.
    assert all(HISTORY_LOST in seen[offset]["degraded"] for offset in range(REMOVED_TO, 2800))
    assert HISTORY_LOST not in seen[ALL - 1]["degraded"]
    assert not any(HISTORY_LOST in seen[offset]["degraded"] for offset in range(BEFORE))


async def test_ticks_that_vanish_before_a_running_worker_has_read_them_are_named(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, TICKS[:BEFORE])
        await read_until(worker, topics_on_broker.predictions, BEFORE)
        worker.process.send_signal(signal.SIGSTOP)
        await feed(settings, TICKS[BEFORE:])
        await remove(settings, topics_on_broker, REMOVED_TO)
        worker.process.send_signal(signal.SIGCONT)
        await worker.until("retention has removed")
        async with asyncio.timeout(60):
            while ALL - 1 not in (seen := await answers(settings, topics_on_broker)):
                await asyncio.sleep(0.2)
        first, last = removed(worker)
        assert worker.terminate() == 0, worker.text()
    # Where the group has forgotten the stopped worker, it restores, from the floor.
    answered_to = max(first, BEFORE)
    assert last == REMOVED_TO - 1
    assert sorted(seen) == [*range(answered_to), *range(REMOVED_TO, ALL)]
    assert HISTORY_LOST in seen[REMOVED_TO]["degraded"]
    assert HISTORY_LOST not in seen[answered_to - 1]["degraded"]
