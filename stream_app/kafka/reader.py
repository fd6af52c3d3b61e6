"""Reads parts of a topic without joining a group: a range, the last records, or new records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.connection import FETCH_MAX_WAIT_MS, end_offset
from stream_app.kafka.topic_check import TopicSpec


@asynccontextmanager
async def open_reader(client_settings: dict[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect a consumer that joins no group, for the functions below, and close it at the end.

    With a `group_id` in the settings it can ask for that group's committed offsets.
    """
    consumer = AIOKafkaConsumer(
        **client_settings,
        enable_auto_commit=False,
        max_poll_records=2000,
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read_range(
    consumer: AIOKafkaConsumer, tp: TopicPartition, first: int, end: int | None
) -> AsyncIterator[ConsumerRecord]:
    """The records of a partition from `first` to before `end`, or to the current end of the log.

    Waits for the broker. Other tasks run after every 2,000 records. An `end` beyond the end of the
    log means the end of the log.
    """
    consumer.assign([tp])
    last = await end_offset(consumer, tp)
    end = last if end is None else min(end, last)
    first = max(first, (await consumer.beginning_offsets([tp]))[tp])
    if first >= end:
        return
    consumer.seek(tp, first)
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(tp, timeout_ms=1000)).values():
            for record in records:
                if record.offset < end:
                    yield record
        await asyncio.sleep(0)


async def read_last(
    consumer: AIOKafkaConsumer, topic: TopicSpec, count: int
) -> list[ConsumerRecord]:
    """The last `count` records of each partition, sorted by timestamp. Waits for the broker."""
    found: list[ConsumerRecord] = []
    for partition in range(topic.partitions):
        tp = TopicPartition(topic.name, partition)
        consumer.assign([tp])
        end = await end_offset(consumer, tp)
        found.extend([record async for record in read_range(consumer, tp, end - count, end)])
    return sorted(found, key=lambda record: (record.timestamp, record.offset))


async def read_new(consumer: AIOKafkaConsumer, *topics: TopicSpec) -> AsyncIterator[ConsumerRecord]:
    """All records of these topics, then new ones as they arrive. Never ends by itself."""
    partitions = [
        TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)
    ]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    async for record in consumer:
        yield record
