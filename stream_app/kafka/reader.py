"""Reads parts of a topic without joining a group: a range, the last records, or new records."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.connection import (
    FETCH_MAX_WAIT_MS,
    FOLLOW_MAX_WAIT_MS,
    ISOLATION_LEVEL,
    POLL_MS,
    end_offset,
)
from stream_app.kafka.retries import Outage
from stream_app.kafka.topics import TopicSpec


@asynccontextmanager
async def open_reader(
    client_settings: dict[str, Any], *, max_wait_ms: int = FETCH_MAX_WAIT_MS
) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect a consumer that joins no group, for the functions below, and close it at the end.

    With a `group_id` in the settings it can ask for that group's committed offsets.

    Args:
        client_settings: how to connect.
        max_wait_ms: how long the broker may delay an empty answer, and with it the first answer
            about other partitions.
    """
    consumer = AIOKafkaConsumer(
        **client_settings,
        enable_auto_commit=False,
        # Where retention removes what is about to be read; the client's default is the log's end.
        auto_offset_reset="earliest",
        max_poll_records=2000,
        fetch_max_wait_ms=max_wait_ms,
        isolation_level=ISOLATION_LEVEL,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        try:
            await consumer.stop()
        except asyncio.CancelledError:
            # The client's own cancelled fetch comes through where a broker has just gone.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise


async def read_range(
    consumer: AIOKafkaConsumer, tp: TopicPartition, first: int, end: int | None
) -> AsyncIterator[ConsumerRecord]:
    """The records of a partition from `first` to before `end`, or to the current end of the log.

    Waits for the broker. Other tasks run after every 2,000 records. An `end` beyond the end of the
    log means the end of the log. Where nothing can lie in between, the broker is not asked.
    """
    if end is not None and first >= end:
        return
    consumer.assign([tp])
    last = await end_offset(consumer, tp)
    end = last if end is None else min(end, last)
    first = max(first, (await consumer.beginning_offsets([tp]))[tp])
    if first >= end:
        return
    consumer.seek(tp, first)
    while await consumer.position(tp) < end:
        for records in (await consumer.getmany(tp, timeout_ms=POLL_MS)).values():
            for record in records:
                if record.offset < end:
                    yield record
        await asyncio.sleep(0)


async def read_last(
    consumer: AIOKafkaConsumer, topic: TopicSpec, count: int
) -> list[ConsumerRecord]:
    """The last `count` records of each partition, sorted by timestamp. Waits for the broker."""
    found: list[ConsumerRecord] = []
    for partition, end in (await topic_ends(consumer, topic)).items():
        tp = TopicPartition(topic.name, partition)
        found.extend([record async for record in read_range(consumer, tp, end - count, end)])
    return sorted(found, key=lambda record: (record.timestamp, record.offset))


async def topic_ends(consumer: AIOKafkaConsumer, topic: TopicSpec) -> dict[int, int]:
    """By partition, the offset after its last record. Waits for the broker."""
    ends = {}
    for partition in range(topic.partitions):
        tp = TopicPartition(topic.name, partition)
        consumer.assign([tp])
        ends[partition] = await end_offset(consumer, tp)
    return ends


async def read_through(
    client_settings: dict[str, Any],
    tp: TopicPartition,
    first: int | None,
    *,
    what: str,
    logger: logging.Logger,
) -> AsyncGenerator[ConsumerRecord, None]:
    """The records of a partition from `first` on, or new ones alone, through outages of the broker.

    Never ends by itself: close it with `contextlib.aclosing`. Logs the first error, and each later
    one that differs.

    Args:
        client_settings: how to connect; a consumer of its own is opened.
        tp: the partition.
        first: offset; None for the end of the log.
        what: names it in the log, such as "the champions topic".
        logger: of the caller.

    Raises:
        BrokerError: a refusal, such as a right that is missing.
    """
    outage = Outage(what, logger)
    while True:
        try:
            async with open_reader(client_settings, max_wait_ms=FOLLOW_MAX_WAIT_MS) as consumer:
                consumer.assign([tp])
                if first is None:
                    first = await end_offset(consumer, tp)
                consumer.seek(tp, first)
                async for record in consumer:
                    first = record.offset + 1
                    outage.is_over()
                    yield record
        except (KafkaError, OSError) as error:
            await outage.wait(error)


async def read_new(consumer: AIOKafkaConsumer, *topics: TopicSpec) -> AsyncIterator[ConsumerRecord]:
    """All records of these topics, then new ones as they arrive. Never ends by itself."""
    partitions = [
        TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)
    ]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    async for record in consumer:
        yield record
