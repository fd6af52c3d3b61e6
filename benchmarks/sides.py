"""The alternatives to the worker, each calling the same pipeline functions.

    python benchmarks/sides.py faust|quix|aiokafka|echo

A plain Faust agent takes one tick per event and sends with `topic.send`. A Quix Streams app maps
its dataframe. A hand-written loop awaits aiokafka's `getmany` and sends each prediction. All
restore their partitions as the worker does, with the same models, and start at the group's
committed offsets with the clients' default settings. They compute bars but do not publish them, and
drop invalid ticks, so they do less work than the worker. `echo` returns each tick unchanged.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics, load_topics
from stream_app.messages.schemas import Bar
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.recovery.log_access import LogAccess, Readers
from stream_app.registry.store import Registry
from stream_app.registry.versions import Versions
from stream_app.settings import Settings, load_settings
from stream_app.sharing.reports import Share
from stream_app.training.settings import model_settings
from stream_app.worker.consumer_actions import ConsumerActions
from stream_app.worker.partitions import Partitions
from stream_app.worker.serving_models import ServingModels


async def restored(settings: Settings, topics: Topics) -> dict[int, PartitionPipeline]:
    """Every partition's pipeline with its models, at the group's committed offset.

    The worker's own code restores them, as on an assignment.
    """
    failures: list[BaseException] = []

    async def commit(_partition: int, _offset: int) -> None:
        raise AssertionError("the benchmarks' group has committed")

    async def publish_bars(_bars: Sequence[Bar], _partition: int) -> None:
        raise AssertionError("no symbol moves")

    async def join_again() -> None:
        raise AssertionError("there is no group to join")

    models = ServingModels(
        versions=Versions(Registry(settings.data_dir, model_settings(settings))),
        named=lambda _: None,
        before=lambda _: None,
        on_progress=lambda: None,
    )
    partitions = Partitions(
        LogAccess(
            settings=settings,
            topics=topics,
            readers=Readers(client_settings(settings)),
            on_progress=lambda: None,
        ),
        consumer=ConsumerActions(
            read_again=lambda _: None,
            hold=lambda _: None,
            release=lambda _: None,
            commit=commit,
            join_again=join_again,
        ),
        load_models=models.load,
        have_models=lambda _: True,
        publish_bars=publish_bars,
        on_restored=lambda: None,
        on_settled=lambda: None,
        fail=failures.append,
    )
    partitions.on_assigned(range(topics.ticks.partitions), Share(), generation=1)
    while not partitions.is_ready:
        if failures:
            raise failures[0]
        await asyncio.sleep(0.05)
    return partitions.restored()


def faust_agent(settings: Settings, topics: Topics) -> None:
    """One tick per event, `topic.send`."""
    import faust

    pipelines = asyncio.run(restored(settings, topics))
    app = faust.App(
        settings.consumer_group,
        broker=f"kafka://{settings.kafka_bootstrap_servers}",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        datadir=settings.data_dir / "faust",
        env={},  # Faust would take our WEB_PORT for its own
    )
    raw: dict[str, Any] = {"value_serializer": "raw", "key_serializer": "raw"}
    ticks = app.topic(topics.ticks.name, **raw)
    predictions = app.topic(topics.predictions.name, **raw)

    @app.agent(ticks)
    async def answer(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            record = _Record(message)
            given = pipelines[message.partition].process([record])
            for key, value in zip(given.predictions.keys, given.predictions.values(), strict=True):
                await predictions.send(key=key, value=value)

    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


class _Record:
    """A Faust message as the pipeline needs it."""

    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "topic", "value")

    def __init__(self, message: Any) -> None:
        self.topic: str = message.topic
        self.partition: int = message.partition
        self.offset: int = message.offset
        self.timestamp = int(message.timestamp * 1000)
        self.key: bytes | None = message.key
        self.value: bytes | None = message.value
        self.headers: Sequence[tuple[str, bytes]] = ()


class _QuixRecord:
    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "topic", "value")

    def __init__(self, value: bytes, key: bytes, timestamp: int, context: Any) -> None:
        self.topic: str = context.topic
        self.partition: int = context.partition
        self.offset: int = context.offset
        self.timestamp = timestamp
        self.key: bytes | None = key
        self.value: bytes | None = value
        self.headers: Sequence[tuple[str, bytes]] = ()


def quix_app(settings: Settings, topics: Topics) -> None:
    """`app.dataframe(...).apply(...).to_topic(...)`."""
    from quixstreams import Application, message_context

    pipelines = asyncio.run(restored(settings, topics))
    app = Application(
        broker_address=settings.kafka_bootstrap_servers,
        consumer_group=settings.consumer_group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        state_dir=str(settings.data_dir / "quix"),
        loglevel="WARNING",
    )
    raw: dict[str, Any] = {"value_deserializer": "bytes", "key_deserializer": "bytes"}
    ticks = app.topic(topics.ticks.name, **raw)
    predictions = app.topic(
        topics.predictions.name, value_serializer="bytes", key_serializer="bytes"
    )

    def answer(value: bytes, key: bytes, timestamp: int, _headers: object) -> list[bytes]:
        context = message_context()
        record = _QuixRecord(value, key, timestamp, context)
        given = pipelines[context.partition].process([record])
        return given.predictions.values()

    frame = app.dataframe(ticks)
    frame = frame.apply(answer, expand=True, metadata=True)
    frame.to_topic(predictions)
    app.run()


def aiokafka_loop(settings: Settings, topics: Topics) -> None:
    """`getmany`, `send`, commit."""
    pipelines = asyncio.run(restored(settings, topics))

    def answer(partition: int, records: Sequence[Any]) -> list[tuple[bytes, bytes]]:
        given = pipelines[partition].process(records).predictions
        return list(zip(given.keys, given.values(), strict=True))

    asyncio.run(_loop(settings, topics, answer))


def echo(settings: Settings, topics: Topics) -> None:
    """Returns each tick's bytes: what Kafka, the machine and the clients take without any work."""
    asyncio.run(_loop(settings, topics, lambda _, records: [(r.key, r.value) for r in records]))


async def _loop(
    settings: Settings,
    topics: Topics,
    answer: Callable[[int, Sequence[Any]], list[tuple[bytes, bytes]]],
) -> None:
    connection = client_settings(settings)
    consumer = AIOKafkaConsumer(
        topics.ticks.name,
        **connection,
        group_id=settings.consumer_group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(**connection, acks="all")
    await consumer.start()
    await producer.start()
    while True:
        fetched = await consumer.getmany(timeout_ms=100, max_records=1024)
        sends = [
            await producer.send(topics.predictions.name, value, key, tp.partition)
            for tp, records in fetched.items()
            for key, value in answer(tp.partition, records)
        ]
        await asyncio.gather(*sends)
        if sends:
            await consumer.commit()


SIDES: dict[str, Callable[[Settings, Topics], None]] = {
    "faust": faust_agent,
    "quix": quix_app,
    "aiokafka": aiokafka_loop,
    "echo": echo,
}


def main(arguments: Iterable[str]) -> None:
    (side,) = arguments
    settings = load_settings()
    sys.argv = sys.argv[:1]  # Faust reads it
    SIDES[side](settings, load_topics(settings.topics_file))


if __name__ == "__main__":
    main(sys.argv[1:])
