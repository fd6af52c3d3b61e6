"""Kafka's users of deploy/kubernetes: each program works with its rights, and needs each of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson
import pytest

from stream_app.kafka.connection import client_settings
from stream_app.kafka.group import open_group
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics, TopicSpec, apply_topics, load_topics
from stream_app.overview.observer import Observer
from stream_app.settings import Settings, load_settings
from tests.broker.rights import Right, Rights, asked, rights
from tests.broker.secure_kafka import SecureKafka
from tests.broker.test_drift import SCORES, until_alarms, write
from tests.builders import walk
from tests.conftest import KAFKA_HOME, TOPICS_YAML, needs_kafka
from tests.workers import DEADLINE_S, WorkerProcess, feed, read_all, read_until, read_while

pytestmark = [needs_kafka, pytest.mark.broker, pytest.mark.timeout(900)]

GIVEN = rights()
USERS = sorted({each.user for each in GIVEN})
SMALL = {
    "bar_seconds": 60,
    "training_window_days": 1,
    "lstm_epochs": 1,
    "min_training_bars": 200,
    "retrain_processes": 1,
}
BAD_TICK = b'{"symbol": "BTC"}'


@pytest.fixture(scope="module")
def guarded() -> Iterator[SecureKafka]:
    with SecureKafka(Path(KAFKA_HOME or ""), users=USERS, authorizes=True) as broker:
        yield broker


class Place:
    """The broker with the topics and the users' rights, and settings to connect as each user."""

    def __init__(self, broker: SecureKafka, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self.rights = Rights(f"127.0.0.1:{broker.ports['PLAINTEXT']}")
        self.everything = self._load(broker.settings("PLAINTEXT"))
        self.topics: Topics = load_topics(TOPICS_YAML)

    def _load(self, connection: dict[str, Any]) -> Settings:
        own = {"data_dir": self._folder / "data", "topics_file": TOPICS_YAML, "web_port": 0}
        return load_settings(**(SMALL | connection | own))

    def settings(self, user: str) -> Settings:
        """As a program of this user has them."""
        return self._load(self._broker.settings("SASL_PLAINTEXT", user))


@pytest.fixture
async def place(guarded: SecureKafka, tmp_path: Path) -> Place:
    made = Place(guarded, tmp_path)
    await apply_topics(made.topics, client_settings(made.everything))
    made.rights.give(GIVEN)
    return made


async def send_bad_tick(place: Place) -> None:
    async with connected_producer(place.settings("stream-app-feed")) as producer:
        await producer.send_and_wait(place.topics.ticks.name, BAD_TICK, key=b"BTC")


def status(worker: WorkerProcess) -> dict[str, Any]:
    found = re.search(r"http://127\.0\.0\.1:\d+/status", worker.text())
    assert found, worker.text()
    with urlopen(found[0], timeout=30) as reply:
        shown: dict[str, Any] = orjson.loads(reply.read())
        return shown


async def messages(place: Place, topic: TopicSpec, count: int) -> list[Any]:
    """What a topic holds, read by one who may, once it is this many messages."""
    async with asyncio.timeout(DEADLINE_S):
        while len(records := await read_all(place.everything, topic)) < count:
            await asyncio.sleep(0.2)
    return [orjson.loads(record.value or b"") for record in records]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.1)


@asynccontextmanager
async def observing(settings: Settings) -> AsyncIterator[Observer]:
    observer = Observer(settings)
    running = asyncio.create_task(observer.run())
    try:
        yield observer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_each_program_works_with_its_rights_and_uses_each_of_them(
    guarded: SecureKafka, place: Place, tmp_path: Path
) -> None:
    topics, everything = place.topics, place.everything
    ticks = list(walk(2000))
    with WorkerProcess(place.settings("stream-app-worker"), tmp_path / "worker.log") as worker:
        async with observing(place.settings("stream-app-dashboard")) as observer:
            await feed(place.settings("stream-app-feed"), ticks[:1500])
            await send_bad_tick(place)
            await messages(place, topics.predictions, 1500)
            await worker.until("(all 4 models)")
            assert worker.terminate() == 0, worker.text()
            worker.start()
            await worker.until("restored 1 symbols")
            await feed(place.settings("stream-app-feed"), ticks[1500:])
            await messages(place, topics.predictions, 2000)
            await until(lambda: status(worker)["lag"] == 0)
            await until(lambda: observer.model.reading.history_read)
        assert worker.terminate() == 0, worker.text()
    print(asked(guarded.audit))
