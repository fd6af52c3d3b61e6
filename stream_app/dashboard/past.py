"""Reads backwards from the end of a partition, until there is enough of every symbol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.kafka.reader import read_range
from stream_app.messages.records import Record

CHUNK: Final = 1000
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
        take: called with each chunk, in order of the offsets within it.
        enough: asked after each chunk.
    """
    begin = max(0, end - MOST_RECORDS)
    while end > begin:
        first = max(begin, end - CHUNK)
        chunk = [record async for record in read_range(consumer, tp, first, end)]
        take(chunk)
        if not chunk or enough():
            return
        end = first
