"""A month of prices, models trained on it, brokers with history, and processes that answer it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np
import orjson
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from harness import HERE, console, progress
from pydantic import SecretStr

from stream_app.bars.features import BarColumns
from stream_app.brokers import Broker
from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.brokers.kafka import KafkaBroker
from stream_app.feed.files import read_ticks
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.kafka.connection import client_settings, end_offset
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics, TopicSpec, apply_topics, load_topics
from stream_app.messages.arrivals import Arrival, arrived
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import encode_tick
from stream_app.models.catalog import CATALOG
from stream_app.prediction.answering import answer_ticks
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.manifest import TrainedSet
from stream_app.registry.store import Registry
from stream_app.settings import Settings, load_settings
from stream_app.training.job import TrainedModel, TrainingJob
from stream_app.training.pool import TrainingPool
from stream_app.training.settings import model_settings
from stream_app.worker.publisher import Publisher

TOPICS_YAML: Final = HERE.parent / "topics.yaml"
SYMBOL: Final = "BTC-PERP"
CHUNK: Final = 2048
MONTH_DAYS: Final = 32.0
"""A window that holds the file's 9,006 bars."""
DEADLINE_S: Final = 300.0
BROKER_JVM: Final = (
    "-Xms1g -Xmx1g -XX:TieredStopAtLevel=4 -XX:-UseSerialGC -XX:+UseG1GC -XX:MaxGCPauseMillis=20"
    " -XX:InitiatingHeapOccupancyPercent=35"
)
"""The options of the Apache distribution's own scripts. The tests use smaller ones."""
SETTLE_S: Final = 0.2
DAY_MS: Final = 86_400_000
BAR_MS: Final = 300_000
PIECE_S: Final = 0.05
"""Of a steady feed."""


def plain_settings(**overrides: Any) -> Settings:
    """The default settings with a window of the whole month."""
    return load_settings(**{"training_window_days": MONTH_DAYS, **overrides})


# In process


def month_ticks(data: Path) -> list[Tick]:
    """The file's ticks: four a minute, in the order that the bar's close implies."""
    return [replace(tick, symbol=SYMBOL) for tick in read_ticks(data).ticks]


def with_sources(ticks: Iterable[Tick], first: int = 0) -> list[Arrival]:
    """Ticks as a symbol's pipeline takes them."""
    return [arrived(tick, offset) for offset, tick in enumerate(ticks, first)]


def month_pipeline(data: Path, settings: Settings) -> SymbolPipeline:
    """A symbol after the month, as a worker has it before the first training."""
    prediction = PredictionSettings.of(settings)
    pipeline, ensemble = SymbolPipeline(SYMBOL, prediction), Ensemble.of(prediction)
    ticks = with_sources(month_ticks(data))
    with progress() as shown:
        for start in shown.track(range(0, len(ticks), CHUNK), description="a month of ticks"):
            answer_ticks([(pipeline, ticks[start : start + CHUNK])], ensemble, prediction)
    return pipeline


def month_bars(data: Path, settings: Settings) -> BarColumns:
    """The window of a worker after the month."""
    return month_pipeline(data, settings).window.columns()


def jobs_for(bars: BarColumns, settings: Settings, symbol: str = SYMBOL) -> list[TrainingJob]:
    """The four training jobs of one symbol."""
    return [
        TrainingJob(symbol=symbol, model=name, bars=bars, settings=model_settings(settings))
        for name in CATALOG
    ]


@contextlib.contextmanager
def warm_pool(processes: int = 2) -> Iterator[TrainingPool]:
    """The worker's pool, with its processes started and their imports done."""
    with TrainingPool(processes) as pool:
        pool.warm_up().result()
        time.sleep(1.0)  # the other process
        yield pool


def train(bars: BarColumns, settings: Settings) -> dict[str, TrainedModel]:
    """The four models, trained in the pool."""
    with warm_pool() as pool:
        return {model.name: model for model in pool.run_all(jobs_for(bars, settings))}


def trained_set(symbol: str, trained: Mapping[str, TrainedModel], bars: BarColumns) -> TrainedSet:
    """What a retrain hands over to the registry."""
    return TrainedSet(
        symbol=symbol,
        artifacts={name: model.artifact for name, model in trained.items()},
        seconds={name: model.seconds for name, model in trained.items()},
        rows=trained["lstm"].rows,
        data_from=int(bars.ts_open[0]),
        data_to=int(bars.ts_last[-1]),
    )


def live_ticks(
    symbols: Sequence[str],
    *,
    start_ms: int,
    interval_ms: float,
    count: int,
    price: float = 40_000.0,
    seed: int = 1,
) -> list[Tick]:
    """A random walk of each symbol, the symbols in turn, `count` ticks in all.

    Args:
        symbols: each gets a tick every `interval_ms` of event time.
        start_ms: event time of the first tick.
        interval_ms: between two ticks of one symbol.
        count: of all symbols together.
        price: where each symbol starts.
        seed: of the walk.
    """
    each = -(-count // len(symbols))
    random = np.random.default_rng(seed)
    scale = 4e-4 * np.sqrt(interval_ms / 60_000)
    steps = random.standard_normal((each, len(symbols))) * scale
    prices = (price * np.exp(np.cumsum(steps, axis=0))).round(2).ravel().tolist()
    times = (start_ms + (np.arange(each) * interval_ms).astype(np.int64)).tolist()
    stamps = [ts for ts in times for _ in symbols]
    names = list(symbols) * each
    return [
        Tick(symbol=symbol, price=value, ts=ts, size=1.0)
        for symbol, value, ts in zip(names[:count], prices[:count], stamps[:count], strict=True)
    ]


def symbol_names(count: int) -> list[str]:
    """A single symbol keeps its name; several are numbered."""
    return [SYMBOL] if count == 1 else [f"SYM{number:04d}" for number in range(count)]


# With a broker


def broker_of_choice() -> Broker:
    """Apache Kafka if KAFKA_HOME is set. Otherwise the embedded broker, with a note."""
    home = os.environ.get("KAFKA_HOME")
    if home:
        os.environ.setdefault("KAFKA_OPTS", BROKER_JVM)
        return KafkaBroker(Path(home))
    console.print("[yellow]KAFKA_HOME is not set: measuring on the embedded broker[/]")
    return EmbeddedBroker()


def topics_file(
    folder: Path, prefixes: Mapping[str, str], default: str, *, partitions: int | None = None
) -> Path:
    """topics.yaml with a prefix before each name, so that runs do not share topics.

    Args:
        folder: where to write it.
        prefixes: by role.
        default: for the other roles.
        partitions: of each topic that has more than one; as topics.yaml says without.
    """
    content = yaml.safe_load(TOPICS_YAML.read_text())
    names = {
        name: prefixes.get(topic["role"], default) + name
        for name, topic in content["topics"].items()
    }
    for topic in content["topics"].values():
        if partitions is not None and topic["partitions"] > 1:
            topic["partitions"] = partitions
    content["topics"] = {names[name]: topic for name, topic in content["topics"].items()}
    for uses in content["services"].values():
        for direction, used in uses.items():
            uses[direction] = [names[name] for name in used]
    path = folder / f"topics-{uuid.uuid4().hex[:8]}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def settings_for(broker: Broker, folder: Path, file: Path, **overrides: Any) -> Settings:
    """Settings of a worker on this broker."""
    return plain_settings(
        **{
            **broker.settings_overrides,
            "data_dir": folder / "data",
            "topics_file": file,
            "web_port": 0,
            "consumer_group": f"benchmark-{uuid.uuid4().hex[:8]}",
            "log_level": "INFO",
            **overrides,
        }
    )


def settings_without_training(
    broker: Broker, folder: Path, file: Path, *, days: float = MONTH_DAYS, **overrides: Any
) -> Settings:
    """Settings of a worker that trains only when a window of so many days is full."""
    return settings_for(
        broker,
        folder,
        file,
        **{
            "training_window_days": float(days),
            "min_training_bars": int(days * DAY_MS) // BAR_MS,
            "model_max_age_hours": 1e6,
            **overrides,
        },
    )


async def send(settings: Settings, ticks: Sequence[Tick], description: str) -> None:
    """Send ticks as `stream-app feed` does, as fast as possible."""
    with progress() as shown:
        task = shown.add_task(description, total=len(ticks))
        async with connected_producer(settings) as producer:
            await produce(
                ticks,
                producer=producer,
                topic=load_topics(settings.topics_file).ticks.name,
                pace=Pace(Speed()),
                on_progress=lambda count, _ts: shown.update(task, completed=count),
            )


async def digest(settings: Settings) -> dict[int, int]:
    """Read the ticks on the broker and publish their bars, as a worker would.

    Returns:
        The end of each partition. A group that is committed there continues from the bars.
    """
    topics = load_topics(settings.topics_file)
    connection = client_settings(settings)
    ends: dict[int, int] = {}
    publisher = Publisher(topics, connection, idempotent=settings.kafka_idempotent_producer)
    await publisher.start()
    try:
        async with open_reader(connection) as reader:
            for number in range(topics.ticks.partitions):
                pipeline = PartitionPipeline(PredictionSettings.of(settings))
                tp = TopicPartition(topics.ticks.name, number)
                chunk: list[Any] = []
                async for record in read_range(reader, tp, 0, None):
                    chunk.append(record)
                    if len(chunk) == CHUNK:
                        answer = pipeline.process(chunk)
                        await publisher.publish(Answer(bars=answer.bars), number)
                        chunk = []
                await publisher.publish(Answer(bars=pipeline.process(chunk).bars), number)
                ends[number] = pipeline.position
    finally:
        await publisher.stop()
    return ends


async def commit(settings: Settings, offsets: Mapping[int, int]) -> None:
    """Commit these offsets for the settings' group."""
    name = load_topics(settings.topics_file).ticks.name
    consumer = AIOKafkaConsumer(
        **client_settings(settings), group_id=settings.consumer_group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(name, number) for number in offsets])
        await consumer.commit(
            {TopicPartition(name, number): offset for number, offset in offsets.items()}
        )
    finally:
        await consumer.stop()


async def length(reader: AIOKafkaConsumer, topic: TopicSpec) -> int:
    """How many records a topic has had."""
    tps = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    if os.environ.get("KAFKA_HOME"):
        return sum((await reader.end_offsets(tps)).values())
    total = 0
    for tp in tps:
        reader.assign([tp])
        total += await end_offset(reader, tp)
    return total


def window_of(ticks: Sequence[Tick], settings: Settings) -> BarColumns:
    """One symbol's window after these ticks."""
    prediction = PredictionSettings.of(settings)
    pipeline = SymbolPipeline(ticks[0].symbol, prediction)
    answer_ticks([(pipeline, with_sources(ticks))], Ensemble.of(prediction), prediction)
    return pipeline.window.columns()


async def with_history(settings: Settings, names: Sequence[str]) -> tuple[dict[int, int], int]:
    """Give symbols a window each that is full but for minutes, all of it answered, and models.

    Returns:
        The end of each partition, and the event time at which ticks go on, ms.
    """
    bars = settings.window_bars
    now = int(time.time() * 1000) // BAR_MS * BAR_MS
    history = live_ticks(
        names, start_ms=now - bars * BAR_MS, interval_ms=BAR_MS, count=bars * len(names)
    )
    await send(settings, history, "history")
    ends = await digest(settings)
    await commit(settings, ends)
    window = window_of([tick for tick in history if tick.symbol == names[0]], settings)
    publish_models(settings, names, train(window, settings), window)
    return ends, now


class Feed:
    """Ticks at a steady rate, until told to stop.

    `feed.producer.produce` knows the partitions that there are at its start, and sends each tick
    that it has waited for by itself; this one hears of more, and takes less of the processor.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        symbols: Sequence[str],
        per_second: float,
        start: int,
        **producer: Any,
    ) -> None:
        self._producer = {**client_settings(settings), "acks": 1, **producer}
        self._topic = topic
        self._symbols = symbols
        self._per_second = per_second
        self._start = start
        self._stop = asyncio.Event()
        self.sent = 0

    def stop(self) -> None:
        self._stop.set()

    async def run(self, most_s: float) -> None:
        ticks = live_ticks(
            self._symbols,
            start_ms=self._start,
            interval_ms=1000.0 * len(self._symbols) / self._per_second,
            count=int(most_s * self._per_second),
        )
        producer = AIOKafkaProducer(**self._producer)
        await producer.start()
        try:
            began = time.perf_counter()
            while not self._stop.is_set() and self.sent < len(ticks):
                due = int((time.perf_counter() - began) * self._per_second)
                futures = [
                    await producer.send(self._topic, encode_tick(tick), tick.symbol.encode())
                    for tick in ticks[self.sent : due]
                ]
                self.sent = max(self.sent, due)
                if futures:
                    await asyncio.gather(*futures)
                await asyncio.sleep(PIECE_S)
        finally:
            await producer.stop()


@contextlib.asynccontextmanager
async def topics_of(settings: Settings) -> AsyncIterator[Topics]:
    """Create the settings' topics."""
    topics = load_topics(settings.topics_file)
    await apply_topics(topics, client_settings(settings))
    yield topics


def publish_models(
    settings: Settings,
    symbols: Sequence[str],
    trained: Mapping[str, TrainedModel],
    bars: BarColumns,
) -> None:
    """Make one trained set the champion of every symbol in the registry of DATA_DIR."""
    registry = Registry(settings.data_dir, model_settings(settings))
    with progress() as shown:
        for symbol in shown.track(symbols, description="publishing models"):
            registry.publish(trained_set(symbol, trained, bars), now=datetime.now(UTC))


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a process with these settings."""
    out = dict(os.environ)
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            out[name.upper()] = (
                orjson.dumps(value).decode() if isinstance(value, dict | tuple) else str(value)
            )
    return out


class Process:
    """A process that answers ticks. Its log goes to a file, and is shown if it fails."""

    def __init__(
        self,
        command: Sequence[str],
        settings: Settings,
        log: Path,
        *,
        session: bool = False,
        checkout: Path | None = None,
    ) -> None:
        """Start it, in a session of its own or in ours; it shares the processor with that.

        Args:
            command: after the interpreter.
            settings: of the process.
            log: where its output goes.
            session: whether it gets a session of its own.
            checkout: of the program's code; without it that of this script.
        """
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env=environment_of(settings)
                | ({} if checkout is None else {"PYTHONPATH": str(checkout)}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=log.parent,
                start_new_session=session,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def check(self) -> None:
        """Fail if the process has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"exit code {self._process.returncode}:\n{self.text()[-4000:]}")

    async def until(self, words: str) -> None:
        """Wait until the log has these words."""
        async with asyncio.timeout(DEADLINE_S):
            while words not in self.text():
                self.check()
                await asyncio.sleep(SETTLE_S)

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


WORKER: Final = ("-m", "stream_app", "worker")


@contextlib.contextmanager
def running(command: Sequence[str], settings: Settings, log: Path) -> Iterator[Process]:
    """A process that ends with the context."""
    process = Process(command, settings, log)
    try:
        yield process
    finally:
        process.end()


async def last_retrain(session: aiohttp.ClientSession, settings: Settings) -> Any:
    """The worker's last retrain event from /status; None before the first."""
    async with session.get(f"http://{settings.web_host}:{settings.web_port}/status") as response:
        return (await response.json())["last_retrain"]


async def until_answered(settings: Settings, topics: Topics, count: int, worker: Process) -> None:
    """Wait until there are `count` predictions."""
    with progress() as shown:
        task = shown.add_task("the worker answers", total=count)
        async with open_reader(client_settings(settings)) as reader:
            while (done := await length(reader, topics.predictions)) < count:
                worker.check()
                shown.update(task, completed=done)
                await asyncio.sleep(0.2)
