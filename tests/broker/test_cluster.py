"""Three brokers: one that is killed, away, restarted or cut off costs no tick and no answer."""

from __future__ import annotations

import asyncio
import random
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiokafka.errors import KafkaError

from stream_app.kafka.connection import client_settings
from stream_app.kafka.retries import may_pass
from stream_app.kafka.topic_check import Topics, apply_topics, load_topics
from stream_app.settings import Settings, load_settings
from tests.agreement import compare
from tests.figures import LONG, note
from tests.kafka_cluster import NODES, KafkaCluster
from tests.link import Link
from tests.workers import (
    DEADLINE_S,
    WorkerProcess,
    begin_anew,
    feed_until,
    read_all,
    read_on,
    read_until,
    read_while,
)

pytestmark = pytest.mark.timeout(3600 if LONG else 900)

SYMBOLS = [f"S{number}" for number in range(8)]
KILLS = 20 if LONG else 2
AWAY_S = 60.0
CUT_S = 60.0 if LONG else 8.0


@pytest.fixture(scope="module")
def cluster(kafka_home: Path) -> Iterator[KafkaCluster]:
    with KafkaCluster(kafka_home) as started:
        yield started


@dataclass
class Scene:
    """A worker that answers ticks by links to three brokers."""

    cluster: KafkaCluster
    links: dict[int, Link]
    topics: Topics
    direct: Settings
    """How the test itself reaches the brokers: by no link."""
    answered: dict[int, int] = field(default_factory=dict)
    """By partition, the newest tick with a prediction."""
    _positions: dict[int, int] = field(default_factory=dict)

    async def leader(self, partition: int) -> int:
        return await self.cluster.leader_of(self.topics.ticks.name, partition)

    async def goes_on(self) -> None:
        """Wait until ticks of each partition that come after now are answered."""
        newest: dict[int, int] = {}
        async for record in read_on(self.direct, self.topics.ticks, newest):
            newest[record.partition] = record.offset + 1
        async with asyncio.timeout(DEADLINE_S):
            while any(self.answered.get(number, -1) < after for number, after in newest.items()):
                await self._look()
                await asyncio.sleep(0.2)

    async def _look(self) -> None:
        try:
            async for record in read_on(self.direct, self.topics.predictions, self._positions):
                source = orjson.loads(record.value or b"")["source"]
                before = self.answered.get(source["partition"], -1)
                self.answered[source["partition"]] = max(before, source["offset"])
        except KafkaError as error:
            if not may_pass(error):
                raise


async def leaders_killed(scene: Scene) -> str:
    """`kill -9` of the leader of each partition in turn."""
    moments = random.Random(1)  # noqa: S311 - moments, no secrets
    for number in range(KILLS):
        leader = await scene.leader(number % scene.topics.ticks.partitions)
        await scene.cluster.end(leader, signal.SIGKILL)
        await asyncio.sleep(moments.uniform(0, 2))
        await scene.goes_on()
        await scene.cluster.start(leader)
    return f"a partition's leader killed {KILLS} times"


async def one_away(scene: Scene) -> str:
    """A broker is stopped, and comes back later."""
    leader = await scene.leader(0)
    await scene.cluster.end(leader, signal.SIGTERM)
    await asyncio.sleep(AWAY_S)
    await scene.goes_on()
    await scene.cluster.start(leader)
    return f"a broker away for {AWAY_S:g} s"


async def rolling_restart(scene: Scene) -> str:
    """All brokers, one after the other, each when all replicas are in sync again."""
    for number in NODES:
        await scene.cluster.end(number, signal.SIGTERM)
        await scene.cluster.start(number)
    return "all brokers restarted in turn"


async def one_cut_off(scene: Scene) -> str:
    """No byte passes between the worker and a leader, which the other brokers still reach."""
    link = scene.links[await scene.leader(0)]
    link.cut()
    await asyncio.sleep(CUT_S)
    link.mend()
    return f"a leader cut off from the worker for {CUT_S:g} s"


Disturbance = Callable[[Scene], Awaitable[str]]
SHORT: list[Disturbance] = [leaders_killed, rolling_restart, one_cut_off]
ALONE: list[Disturbance] = [*SHORT, one_away]


def three_of_each(topics_file: Path) -> None:
    """As docs/operations.md says for a cluster."""
    content = yaml.safe_load(topics_file.read_text())
    for topic in content["topics"].values():
        topic["replication"] = 3
        topic["configs"]["min.insync.replicas"] = 2
    topics_file.write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture
async def scene(
    cluster: KafkaCluster, topics_file: Path, tmp_path: Path
) -> AsyncIterator[tuple[Scene, Settings]]:
    three_of_each(topics_file)
    # Models held fixed: too few bars to train.
    common: dict[str, Any] = {
        "consumer_group": f"cluster-{uuid.uuid4().hex[:8]}",
        "topics_file": topics_file,
        "web_port": 0,
        "bar_seconds": 60,
        "training_window_days": 5,
        "min_training_bars": 7200,
        "data_dir": tmp_path / "data",
    }
    direct = load_settings(**cluster.direct, **common)
    topics = load_topics(topics_file)
    await apply_topics(topics, client_settings(direct))
    links = cluster.links()
    async with AsyncExitStack() as opened:
        for link in links.values():
            await opened.enter_async_context(link)
        yield Scene(cluster, links, topics, direct), load_settings(**cluster.linked, **common)


# `make test` has one worker go through three; in `make chaos` each has a worker of its own.
@pytest.mark.parametrize(
    "disturbances",
    [[each] for each in ALONE] if LONG else [SHORT],
    ids=[each.__name__ for each in ALONE] if LONG else ["in turn"],
)
async def test_nothing_is_lost_and_nothing_differs(
    scene: tuple[Scene, Settings], tmp_path: Path, disturbances: list[Disturbance]
) -> None:
    seen, settings = scene
    predictions = seen.topics.predictions
    stop = asyncio.Event()
    feeding = asyncio.create_task(feed_until(stop, seen.direct, SYMBOLS))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await worker.until("restored")
        what = []
        for disturb in disturbances:
            what.append(await disturb(seen))
            await seen.goes_on()
        stop.set()
        count = await feeding
        messages = await read_until(worker, predictions, count)
        assert worker.process.poll() is None, worker.text()
        # In a thread: the links pass bytes in this loop.
        assert await asyncio.to_thread(worker.terminate) == 0, worker.text()
        log = worker.text()
    lost, duplicated, differing = compare(messages, count)
    longest_s = await longest_wait_s(seen)

    # The same ticks once more in peace, by another group: every message must be like its twin.
    again = seen.direct.model_copy(
        update={"consumer_group": f"{seen.direct.consumer_group}-again", "data_dir": tmp_path / "b"}
    )
    await begin_anew(again)
    with WorkerProcess(again, tmp_path / "again.log") as worker:
        together = len(messages) + count
        both = await read_while(worker, predictions, lambda both: len(both) < together)
        assert worker.terminate() == 0, worker.text()
    _, _, different = compare(both, count)
    note(
        f"three brokers: {', '.join(what)}; {count:,} ticks",
        "0 lost, 0 differing, from the undisturbed run too",
        f"{lost} lost, {duplicated} duplicated, {differing + different} differing; a tick waited "
        f"{longest_s:.1f} s at most",
    )
    assert (lost, differing, different) == (0, 0, 0)
    assert len(both) == together
    assert "Traceback" not in log


async def longest_wait_s(scene: Scene) -> float:
    """From when a tick was on the broker until its first prediction was."""
    began = {
        (record.partition, record.offset): record.timestamp
        for record in await read_all(scene.direct, scene.topics.ticks)
    }
    waits: dict[tuple[int, int], int] = {}
    for record in await read_all(scene.direct, scene.topics.predictions):
        source: Any = orjson.loads(record.value or b"")["source"]
        place = (source["partition"], source["offset"])
        waits.setdefault(place, record.timestamp - began[place])
    return max(waits.values()) / 1000
