"""A worker or another command as a real process, for tests that start, kill and restart it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
from aiokafka import TopicPartition

from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.feed.synthetic import synthetic_ticks
from stream_app.kafka.connection import client_settings
from stream_app.kafka.group_reset import reset_group
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.retries import until_answered
from stream_app.kafka.topic_check import TopicSpec, load_topics
from stream_app.messages.records import Record
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings
from tests.builders import START_MS

ROOT = str(Path(__file__).parents[1])
DEADLINE_S = 120.0
TRAINS_SOON: Mapping[str, Any] = {
    "bar_seconds": 60,
    "training_window_days": 1,
    "lstm_epochs": 1,
    "min_training_bars": 200,
    # No test may depend on how fast the machine is.
    "retrain_target_seconds": 300,
    "retrain_deadline_seconds": 300,
}
"""Settings with which a worker trains a symbol after some 800 ticks of `walk`."""
TRAINED_S = 900.0
"""For what follows a training, which yields to everything else on the machine."""


def environment(settings: Settings) -> dict[str, str]:
    """The settings as a worker's environment; nothing of this process's own leaks in.

    Also where a worker is started from elsewhere, it runs the code beside these tests.
    """
    machine = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": ROOT}
    own = settings.as_environment()
    # The examples are programs of others: they read the plain names.
    plain = {name.removeprefix("STREAM_APP_"): value for name, value in own.items()}
    return machine | plain | own


class WorkerProcess:
    """`stream-app worker`, or another command, with these settings; its log goes to a file."""

    def __init__(
        self,
        settings: Settings,
        log: Path,
        *,
        module: str = "stream_app",
        command: str = "worker",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.log = log
        self._module = module
        self._command = command
        self._variables = variables or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._began = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, self._command],
                env={**environment(self.settings), **self._variables},
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM, and wait for the end in order."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def text(self) -> str:
        """The log since the last start."""
        return self.log.read_bytes()[self._began :].decode(errors="replace")

    async def until(self, words: str) -> None:
        """Wait until the log has these words; fails when the worker ends before."""
        async with asyncio.timeout(DEADLINE_S):
            while words not in self.text():
                assert self.process.poll() is None, self.text()
                await asyncio.sleep(0.05)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def ended_command(
    settings: Settings, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`stream-app` with these arguments and settings, once it has ended. Blocks."""
    return subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env={**environment(settings), **(variables or {})},
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE_S,
        check=False,
    )


async def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`ended_command` beside the test's own loop."""
    return await asyncio.to_thread(ended_command, settings, *arguments)


async def feed(settings: Settings, ticks: Iterable[Tick], per_second: float | None = None) -> None:
    """Send ticks as `stream-app feed` does, at a rate or as fast as it goes."""
    async with connected_producer(settings) as producer:
        await produce(
            ticks,
            producer=producer,
            topic=load_topics(settings.topics_file).ticks.name,
            pace=Pace(Speed(per_second=per_second)),
            on_progress=lambda _count, _ts: None,
        )


async def feed_until(stop: asyncio.Event, settings: Settings, symbols: Sequence[str]) -> int:
    """200 ticks a second until told to stop; returns how many were acknowledged."""
    async with connected_producer(settings) as producer:
        report = await produce(
            synthetic_ticks(symbols=symbols, seed=3, start_ms=START_MS, interval_ms=15_000),
            producer=producer,
            topic=load_topics(settings.topics_file).ticks.name,
            pace=Pace(Speed(per_second=200)),
            on_progress=lambda _count, _ts: None,
            stop=stop,
        )
    return report.ticks


async def read_on(
    settings: Settings, topic: TopicSpec, positions: dict[int, int]
) -> AsyncIterator[Record]:
    """What a topic holds now beyond the positions, which are moved on."""
    async with open_reader(client_settings(settings)) as consumer:
        for number in range(topic.partitions):
            tp = TopicPartition(topic.name, number)
            async for record in read_range(consumer, tp, positions.get(number, 0), None):
                positions[number] = record.offset + 1
                yield record


async def read_all(settings: Settings, topic: TopicSpec) -> list[Record]:
    """What a topic holds now."""
    return [record async for record in read_on(settings, topic, {})]


async def messages(settings: Settings, topic: TopicSpec, count: int) -> list[Any]:
    """What a topic holds, once that is so many messages; whoever writes them is not looked at."""
    async with asyncio.timeout(TRAINED_S):
        while len(records := await read_all(settings, topic)) < count:
            await asyncio.sleep(0.2)
    return [orjson.loads(record.value or b"") for record in records]


async def read_while(
    worker: WorkerProcess, topic: TopicSpec, lacking: Callable[[list[Any]], bool]
) -> list[Any]:
    """The messages of a topic, once they lack nothing, or when none has come for DEADLINE_S.

    Fails when the worker has ended.
    """
    messages: list[Any] = []
    positions: dict[int, int] = {}
    last = time.monotonic()
    while lacking(messages) and time.monotonic() - last < DEADLINE_S:
        assert worker.process.poll() is None, worker.text()
        records = [record async for record in read_on(worker.settings, topic, positions)]
        messages += [orjson.loads(record.value or b"") for record in records]
        if records:
            last = time.monotonic()
        await asyncio.sleep(0.2)
    return messages


async def read_until(worker: WorkerProcess, topic: TopicSpec, count: int) -> list[Any]:
    """`read_while` there are fewer than `count` different ids."""
    return await read_while(
        worker, topic, lambda messages: len({message["id"] for message in messages}) < count
    )


async def until_ready(worker: WorkerProcess) -> None:
    """Until /health/ready says 200."""
    async with asyncio.timeout(DEADLINE_S):
        while await ready(worker) != 200:
            await asyncio.sleep(0.1)


async def ready(worker: WorkerProcess) -> int:
    """The status of /health/ready; 0 before the port is open."""
    found = re.search(r"http://([\d.]+:\d+)/status", worker.text())
    if found is None:
        return 0
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{found[1]}/health/ready") as response,
        ):
            return response.status
    except aiohttp.ClientError:
        return 0


async def begin_anew(settings: Settings) -> None:
    """Let a group answer all of the ticks topic, also what bars say another one has answered."""
    topic = load_topics(settings.topics_file).ticks.name
    await until_answered(
        lambda: reset_group(
            client_settings(settings),
            group=settings.consumer_group,
            topic=topic,
            forgotten_within_s=DEADLINE_S,
        ),
        what="the group cannot be reset",
        logger=logging.getLogger(__name__),
    )
