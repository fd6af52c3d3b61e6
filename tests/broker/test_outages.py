"""The broker goes away and comes back: the worker lives, nothing is lost, the log stays calm."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stream_app.brokers.kafka import KafkaBroker
from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.kafka.topic_check import apply_topics, load_topics
from stream_app.settings import Settings, load_settings
from tests.builders import walk
from tests.figures import LONG, note
from tests.workers import WorkerProcess, feed, read_until

pytestmark = pytest.mark.timeout(600)

AWAY_S = 30.0 if LONG else 16.0


@pytest.fixture
async def own_kafka(
    kafka_home: Path, tmp_path: Path
) -> AsyncIterator[tuple[KafkaBroker, Settings]]:
    with KafkaBroker(kafka_home) as broker:
        settings = load_settings(
            **broker.settings_overrides,
            consumer_group=f"outage-{uuid.uuid4().hex[:8]}",
            data_dir=tmp_path / "data",
            web_port=0,
            bar_seconds=60,
            training_window_days=1,
            min_training_bars=1400,
            watchdog_seconds=10,  # shorter than the outage, which is no reason to end
        )
        await apply_topics(load_topics(settings.topics_file), client_settings(settings))
        yield broker, settings


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_the_worker_lives_through_an_outage_and_loses_nothing(
    own_kafka: tuple[KafkaBroker, Settings], tmp_path: Path, how: str
) -> None:
    broker, settings = own_kafka
    topic = load_topics(settings.topics_file).predictions
    ticks = list(walk(6000, symbol="A"))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, ticks[:4000])
        await read_until(worker, topic, 500)  # in the middle of its work
        await asyncio.to_thread(broker.stop if how == "stop" else broker.kill)
        await asyncio.sleep(AWAY_S)
        assert worker.process.poll() is None, worker.text()
        during = worker.text()
        await asyncio.to_thread(broker.start)
        await wait_until_reachable(settings, 60)
        await feed(settings, ticks[4000:])
        messages = await read_until(worker, topic, 6000)
        await worker.until("the broker answers again")
        assert worker.process.poll() is None, worker.text()
        assert worker.terminate() == 0, worker.text()
    assert len({message["id"] for message in messages}) == 6000
    assert {message["source"]["offset"] for message in messages} == set(range(6000))
    after_start = during.split("Worker started")[1].splitlines()
    complaints = [line for line in after_start if " WARNING " in line or " ERROR " in line]
    note(
        f"broker {how}, away for {AWAY_S:g} s",
        "the worker lives, 0 lost, one line in the log",
        f"0 lost of 6000, {len(complaints)} lines in the log",
    )
    assert any("the broker does not answer" in line for line in complaints), during
    # A batch in hand is said to wait too, and the library may have a word of its own.
    assert len(complaints) <= 3, "\n".join(complaints)
    assert "Traceback" not in during
