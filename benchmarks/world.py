"""Brokers, topics, settings, and history on them."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from harness import HERE, console, progress
from prices import (
    BAR_MS,
    CHUNK,
    DAY_MS,
    MONTH_DAYS,
    live_ticks,
    plain_settings,
    train,
    trained_set,
    window_of,
)

from stream_app.bars.features import BarColumns
from stream_app.brokers import Broker
from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.brokers.kafka import KafkaBroker
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.kafka.connection import client_settings, end_offset
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics, TopicSpec, apply_topics, load_topics
from stream_app.messages.schemas import Tick
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.registry.store import Registry
from stream_app.settings import Settings
from stream_app.training.job import TrainedModel
from stream_app.training.settings import model_settings
from stream_app.worker.publisher import Publisher

TOPICS_YAML: Final = HERE.parent / "topics.yaml"
BROKER_JVM: Final = (
    "-Xms1g -Xmx1g -XX:TieredStopAtLevel=4 -XX:-UseSerialGC -XX:+UseG1GC -XX:MaxGCPauseMillis=20"
    " -XX:InitiatingHeapOccupancyPercent=35"
)
"""The options of the Apache distribution's own scripts. The tests use smaller ones."""


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
