"""A feed that runs while partitions are added sends by the new count."""

from __future__ import annotations

import asyncio

import aiokafka
import pytest
from aiokafka import TopicPartition

from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.feed.synthetic import synthetic_ticks
from stream_app.kafka.connection import client_settings, end_offset
from stream_app.kafka.placement import partition_of
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics
from tests.broker.test_widened import widen
from tests.builders import START_MS
from tests.conftest import SettingsFor, needs_kafka

SYMBOLS = [f"S{nth}" for nth in range(40)]
AFTER = 400
"""Ticks that are sent once the client has heard of the new partitions."""

# The embedded broker adds no partitions to a topic.
pytestmark = pytest.mark.parametrize(
    "broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True
)


async def test_a_running_feed_follows_new_partitions(
    topics_on_broker: Topics, settings_for: SettingsFor
) -> None:
    settings = settings_for()
    topic, before = topics_on_broker.ticks.name, topics_on_broker.ticks.partitions
    after = before + 3
    producer = aiokafka.AIOKafkaProducer(
        **client_settings(settings),
        acks="all",
        enable_idempotence=settings.kafka_idempotent_producer,
        metadata_max_age_ms=100,
    )
    stop, begun = asyncio.Event(), asyncio.Event()
    until = float("inf")

    def note(acknowledged: int, _ts: int) -> None:
        nonlocal until
        if acknowledged >= len(SYMBOLS):
            begun.set()
        known = producer.client.cluster.partitions_for_topic(topic) or ()
        if len(known) == after and until == float("inf"):
            until = acknowledged + AFTER
        if acknowledged >= until:
            stop.set()

    async with producer:
        feeding = asyncio.create_task(
            produce(
                synthetic_ticks(symbols=SYMBOLS, seed=3, start_ms=START_MS, interval_ms=1000),
                producer=producer,
                topic=topic,
                pace=Pace(Speed(per_second=500)),
                on_progress=note,
                stop=stop,
            )
        )
        await begun.wait()
        await widen(settings, after)
        report = await asyncio.wait_for(feeding, 60)

    places: dict[bytes, list[int]] = {}
    async with open_reader(client_settings(settings)) as consumer:
        for partition in range(after):
            tp = TopicPartition(topic, partition)
            consumer.assign([tp])
            async for record in read_range(consumer, tp, 0, await end_offset(consumer, tp)):
                places.setdefault(record.key, []).append(partition)
    assert sum(map(len, places.values())) == report.ticks
    for key, found in places.items():
        old, new = (partition_of(key, list(range(count))) for count in (before, after))
        assert set(found) == {old, new}
        assert found.count(new) >= AFTER // len(SYMBOLS) - 2
