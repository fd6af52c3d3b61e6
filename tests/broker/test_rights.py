"""Kafka's users of deploy/kubernetes: each program works with its rights, and needs each."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream_app.errors import StreamAppError
from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics, TopicSpec, apply_topics, load_topics
from stream_app.overview.observer import Observer
from stream_app.settings import Settings, load_settings
from tests.broker.rights import Rights, asked, rights
from tests.broker.secure_kafka import SecureKafka
from tests.broker.test_drift import PARTITION, SCORES, until_committed, write
from tests.builders import walk
from tests.conftest import KAFKA_HOME, TOPICS_YAML, needs_kafka
from tests.figures import LONG, note
from tests.workers import TRAINED_S, WorkerProcess, feed, read_all

pytestmark = [needs_kafka, pytest.mark.broker, pytest.mark.timeout(7200)]

GIVEN: Final = rights()
USERS: Final = sorted({each.user for each in GIVEN})
SMALL: Final = {
    "bar_seconds": 60,
    "training_window_days": 1,
    "lstm_epochs": 1,
    "min_training_bars": 200,
    "retrain_processes": 1,
    "retrain_deadline_seconds": TRAINED_S,
}
REFUSED: Final = "AuthorizationFailed"
"""In the name of each of the client's errors for what a user may not do."""


class BrokenError(Exception):
    """A program does not do what it is for; how that shows."""


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
        self.topics: Topics = load_topics(TOPICS_YAML)
        self.everything = self._load(broker.settings("PLAINTEXT"))

    def _load(self, connection: dict[str, Any]) -> Settings:
        own = {"data_dir": self._folder / "data", "topics_file": TOPICS_YAML, "web_port": 0}
        return load_settings(**(SMALL | connection | own))

    def settings(self, user: str) -> Settings:
        """As a program of this user has them."""
        return self._load(self._broker.settings("SASL_PLAINTEXT", user))

    def process(self, user: str, command: str) -> WorkerProcess:
        return WorkerProcess(self.settings(user), self._folder / f"{command}.log", command=command)

    async def keys(self, topic: TopicSpec) -> set[bytes | None]:
        """The keys of a topic's records, read by one who may."""
        return {record.key for record in await read_all(self.everything, topic)}


@pytest.fixture
async def place(guarded: SecureKafka, tmp_path: Path) -> Place:
    made = Place(guarded, tmp_path)
    await apply_topics(made.topics, client_settings(made.everything))
    made.rights.give(GIVEN)
    return made


async def until(holds: Callable[[], Awaitable[bool]], *processes: WorkerProcess) -> None:
    """Wait until it holds; raises as soon as a process has ended, or says that it may not."""
    async with asyncio.timeout(TRAINED_S):
        while not await holds():
            for each in processes:
                if each.process.poll() is not None or REFUSED in each.text():
                    raise BrokenError(each.text().strip().splitlines()[-1])
            await asyncio.sleep(0.2)


def end(process: WorkerProcess) -> None:
    assert process.terminate() == 0, process.text()


async def worker_works(place: Place, symbol: str) -> None:
    """A new symbol: ticks, one that is none, training, scores; a restart, a restore; the lag."""
    topics, key, feeder = place.topics, symbol.encode(), place.settings("stream-app-feed")
    ticks = list(walk(1600, symbol=symbol))
    with place.process("stream-app-worker", "worker") as worker:
        await feed(feeder, ticks[:1200])
        async with connected_producer(feeder) as producer:
            await producer.send_and_wait(topics.ticks.name, b"no tick", key=key)
        for topic in (
            topics.predictions,
            topics.dead_letters,
            topics.bars,
            topics.scores,
            topics.champions,
        ):
            await until(partial(_has, place, topic, key), worker)

        async def trained() -> bool:
            told = await read_all(place.everything, topics.retrain_events)
            events = [orjson.loads(each.value or b"") for each in told]
            return any(
                event["state"] == "succeeded" and symbol in event["symbols"] for event in events
            )

        await until(trained, worker)
        worker.kill()  # ended in order, it would have no tick and no letter to go through again
        worker.start()
        await feed(feeder, ticks[1200:])

        async def all_answered() -> bool:
            records = await read_all(place.everything, topics.predictions)
            answers = [orjson.loads(each.value or b"") for each in records if each.key == key]
            return len({answer["id"] for answer in answers}) == len(ticks)

        async def no_lag() -> bool:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/status", worker.text())
            assert found, worker.text()
            with urlopen(f"http://127.0.0.1:{found[1]}/status", timeout=30) as reply:
                shown = orjson.loads(reply.read())
            return bool(shown["lag"] == 0 and symbol in shown["symbols"])

        await until(all_answered, worker)
        await until(no_lag, worker)
        end(worker)


async def _has(place: Place, topic: TopicSpec, key: bytes) -> bool:
    return key in await place.keys(topic)


async def drift_works(place: Place, symbol: str) -> None:
    """Scores of a new symbol whose errors grow: an alarm, a commit; a start that knows of it."""
    topics, everything = place.topics, place.everything
    scores = [replace(each, symbol=symbol) for each in SCORES if each.symbol == "BTC"]
    await write(everything, topics, scores)
    written = await read_all(everything, topics.scores)
    last = max(each.offset for each in written if each.partition == PARTITION)
    committed = asyncio.create_task(until_committed(everything, topics, last))

    async def is_committed() -> bool:
        return committed.done()

    async def has_begun() -> bool:
        return "alarms are on" in drift.text()

    try:
        with place.process("stream-app-drift", "drift") as drift:
            await until(partial(_has, place, topics.drift, symbol.encode()), drift)
            await until(is_committed, drift)
            end(drift)
            drift.start()
            await until(has_begun, drift)
            end(drift)
    finally:
        committed.cancel()
        await asyncio.gather(committed, return_exceptions=True)


async def dashboard_works(place: Place, symbol: str) -> None:
    """The topics, the group, and all that was."""
    observer = Observer(place.settings("stream-app-dashboard"))
    reading = observer.model.reading
    running = asyncio.create_task(observer.run())

    async def has_read() -> bool:
        if REFUSED in reading.error:
            raise BrokenError(reading.error)
        if reading.missing:
            raise BrokenError(f"topics are missing: {reading.missing}")
        return reading.history_read and observer.model.group.waiting is not None

    try:
        await until(has_read)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def feed_works(place: Place, symbol: str) -> None:
    await feed(place.settings("stream-app-feed"), walk(10, symbol=symbol))


async def scaler_works(place: Place, symbol: str) -> None:
    """The ends of the topic and the commits of the group are all that KEDA asks a broker for."""
    settings, ticks = place.settings("stream-app-scaler"), place.topics.ticks
    client = client_settings(settings)
    tps = [TopicPartition(ticks.name, number) for number in range(ticks.partitions)]
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        commits = await admin.list_consumer_group_offsets(settings.consumer_group, partitions=tps)
        async with open_reader(client) as reader:
            ends = await reader.end_offsets(tps)
    finally:
        await admin.close()
    assert commits.keys() == ends.keys() == set(tps)


WORKS: Final[dict[str, Callable[[Place, str], Awaitable[None]]]] = {
    "stream-app-worker": worker_works,
    "stream-app-drift": drift_works,
    "stream-app-dashboard": dashboard_works,
    "stream-app-feed": feed_works,
    "stream-app-scaler": scaler_works,
}


async def test_each_program_works_with_its_rights_and_uses_each_of_them(
    guarded: SecureKafka, place: Place
) -> None:
    assert WORKS.keys() == set(USERS)
    for user, works in WORKS.items():
        await works(place, f"WITH-ALL-{user}")
    told = asked(guarded.audit)
    more = {right for right in told["Denied"] if right.user in USERS}
    assert not more, "more was asked for than is given"
    # Each was asked for by itself, and nothing else that the user may do contains it.
    assert set(GIVEN) <= told["Allowed"].keys(), set(GIVEN) - told["Allowed"].keys()


@pytest.mark.skipif(not LONG, reason="takes a quarter of an hour: `make chaos` runs it")
async def test_without_any_one_right_a_program_does_not_work(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    spare, shown = [], []
    for number, right in enumerate(GIVEN):
        place.rights.take(right)
        caplog.clear()
        try:
            await WORKS[right.user](place, f"WITHOUT-{number}")
        except (BrokenError, KafkaError, StreamAppError) as error:
            shown.append(f"{right.user} without {right}: {type(error).__name__}: {error}")
        else:
            spare.append(right)
        finally:
            place.rights.give([right])
    note(
        f"Each of the {len(GIVEN)} rights of the Kafka users in deploy/kubernetes taken away alone",
        "the program that has it shows that it cannot work",
        f"{len(GIVEN) - len(spare)} did, {len(spare)} are spare; {time.monotonic() - began:.0f} s",
    )
    assert spare == [], "\n".join(shown)
