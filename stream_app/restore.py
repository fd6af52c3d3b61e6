"""Brings a partition's state back from Kafka's log, exactly as it was at a committed offset.

Each closed bar was published with its symbol's state just after the tick that closed it, and
with the partition's `floor`: the offset below which every tick is covered by such a state. So:
read the partition's bars, keep those made before the committed offset, take over each symbol's
last state, then go through the ticks from the floor to the committed offset without publishing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.codec import decode_bar
from stream_app.pipeline import PartitionPipeline
from stream_app.reader import read_range
from stream_app.schemas import Bar
from stream_app.settings import Settings
from stream_app.topics import Topics

logger = logging.getLogger(__name__)

CHUNK: Final = 2000
"""Records between two looks at the event loop."""


async def restore_partition(
    partition: int,
    committed: int,
    *,
    pipeline: PartitionPipeline,
    settings: Settings,
    topics: Topics,
    client_settings: dict[str, Any],
    on_symbols: Callable[[PartitionPipeline], Awaitable[None]],
) -> None:
    """Fill a fresh pipeline so that it may go on at `committed`.

    Waits on the broker; lets other tasks run every few thousand records. Called by the service
    when it is given a partition.

    Args:
        partition: of the ticks topic, and so of the bars topic.
        committed: the offset of the first tick that is not answered yet.
        pipeline: an empty one.
        settings: the worker's.
        topics: the names.
        client_settings: how to connect.
        on_symbols: called when the symbols are known and before the ticks are gone through
            again, to give them their models, whose Kalman noise the way through needs.
    """
    consumer = AIOKafkaConsumer(**client_settings, enable_auto_commit=False, max_poll_records=CHUNK)
    await consumer.start()
    try:
        bars_tp = TopicPartition(topics.bars.name, partition)
        bars: dict[str, dict[int, Bar]] = {}
        floor, floor_at = 0, -1
        async for record in read_range(consumer, bars_tp, 0, None):
            bar = _usable(record, topics.ticks.name, committed)
            if bar is None:
                continue
            kept = bars.setdefault(bar.symbol, {})
            kept.pop(bar.ts_open, None)
            kept[bar.ts_open] = bar
            if len(kept) > settings.window_bars:
                del kept[next(iter(kept))]
            if bar.source.offset > floor_at:
                floor, floor_at = int(bar.state["floor"]), bar.source.offset
        pipeline.restore({symbol: list(kept.values()) for symbol, kept in bars.items()})
        await on_symbols(pipeline)
        covered = {
            symbol: next(reversed(kept.values())).source.offset for symbol, kept in bars.items()
        }
        ticks_tp = TopicPartition(topics.ticks.name, partition)
        first = (await consumer.beginning_offsets([ticks_tp]))[ticks_tp]
        if first > floor:
            logger.warning(
                "partition %d: retention has removed the ticks %d to %d, which no bar covers",
                partition,
                floor,
                first - 1,
            )
        chunk: list[ConsumerRecord] = []
        async for record in read_range(consumer, ticks_tp, max(floor, first), committed):
            chunk.append(record)
            if len(chunk) == settings.max_batch_ticks:
                pipeline.replay(chunk, covered)
                chunk = []
        pipeline.replay(chunk, covered)
        pipeline.position = committed
        logger.info(
            "partition %d: restored %d symbols, %d bars, at offset %d",
            partition,
            len(bars),
            sum(map(len, bars.values())),
            committed,
        )
    finally:
        await consumer.stop()


def _usable(record: ConsumerRecord, ticks: str, committed: int) -> Bar | None:
    try:
        bar = decode_bar(record.value or b"")
    except ValueError as error:
        logger.warning("bars partition %d offset %d: %s", record.partition, record.offset, error)
        return None
    source = bar.source
    return bar if source.topic == ticks and source.offset < committed else None
