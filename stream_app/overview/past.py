"""Reads backwards from the end of a partition, until there is enough of every symbol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.kafka.reader import read_range
from stream_app.messages.records import Record

CHUNK: Final = 1000
TAKEN_AT_ONCE: Final = 100
"""Some milliseconds of work, after which the streams have their turn."""
MOST_RECORDS: Final = 50_000
"""Of a partition: 200 bars of 250 symbols. Symbols that were silent for longer are not found."""


async def read_back(
    consumer: AIOKafkaConsumer,
    tp: TopicPartition,
    end: int,
    take: Callable[[list[Record]], None],
    enough: Callable[[], bool],
) -> None:
    """Hand over the newest records of a partition, a chunk at a time, the newest chunk first.

    Waits for the broker.

    Args:
        consumer: from `open_reader`, used for nothing else meanwhile.
        tp: the partition.
        end: the offset before which to begin.
        take: called with a part of each chunk after the other, in order of the offsets.
        enough: asked after each chunk.
    """
    begin = max(0, end - MOST_RECORDS)
    while end > begin:
        first = max(begin, end - CHUNK)
        chunk = [record async for record in read_range(consumer, tp, first, end)]
        for at in range(0, len(chunk), TAKEN_AT_ONCE):
            take(chunk[at : at + TAKEN_AT_ONCE])
            await asyncio.sleep(0)
        if not chunk or enough():
            return
        end = first
