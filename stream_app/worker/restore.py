"""Brings a partition's state back from Kafka's log, exactly as it was at a committed offset.

Each closed bar was published with its symbol's state just after the tick that closed it, and
with the partition's `floor`: the offset below which every tick is covered by such a state. So:
read the partition's bars, keep those made before the committed offset, take over each symbol's
last state, then go through the ticks from the floor to the committed offset without publishing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.dead_letters.mended import mended_offsets
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Bar
from stream_app.models.model_set import UNTRAINED, ModelSet
from stream_app.ops.log_fields import log_fields
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.settings import Settings
from stream_app.worker.bar_log import BarLog

logger = logging.getLogger(__name__)

PROGRESS_EVERY: Final = 1000

LoadModels = Callable[[str, str], Awaitable[tuple[ModelSet | None, ModelSet | None]]]
"""From a state's name and a version to that version's models and the champions, if any."""


async def restore_partition(
    partition: int,
    committed: int,
    *,
    topic_id: str,
    pipeline: PartitionPipeline,
    settings: Settings,
    topics: Topics,
    client_settings: dict[str, Any],
    load_models: LoadModels,
    on_progress: Callable[[], None],
) -> None:
    """Fill a fresh pipeline so that it may go on at `committed`.

    Waits on the broker; lets other tasks run every few thousand records. Called by the service
    when it is given a partition.

    Args:
        partition: of the ticks topic, and so of the bars topic.
        committed: the offset of the first tick that is not answered yet.
        topic_id: of the ticks topic; bars of another topic are left out.
        pipeline: an empty one.
        settings: the worker's.
        topics: the names.
        client_settings: how to connect.
        load_models: from the registry.
        on_progress: called every thousand records or so.
    """
    ticks = TopicPartition(topics.ticks.name, partition)
    async with open_reader(client_settings) as consumer:
        log = BarLog(ticks.topic, committed, topic_id=topic_id, bar_s=settings.bar_seconds)
        await read_bars(consumer, TopicPartition(topics.bars.name, partition), log, on_progress)
        pipeline.origin = log.origin
        bars = log.bars(settings.window_bars)
        await _restore_symbols(pipeline, bars, load_models)
        for symbol in log.with_gap():
            pipeline.pipeline_of(symbol).lose_history()
        for bar_s, count in log.left_out.items():
            logger.warning(
                "partition %d: left out %d bars of %d s, for BAR_SECONDS is %d: what only they "
                "cover is not in the windows",
                partition,
                count,
                bar_s,
                settings.bar_seconds,
            )
        first = (await consumer.beginning_offsets([ticks]))[ticks]
        if first > log.floor:
            logger.warning(
                "partition %d: retention has removed the ticks %d to %d, which no bar covers",
                partition,
                log.floor,
                first - 1,
            )
            pipeline.lose_history()
        covered = {symbol: closed[-1].source.offset for symbol, closed in bars.items()}
        start = max(log.floor, first)
        mended = await mended_offsets(
            consumer, partition, start, committed, topics=topics, settings=settings
        )
        replayed = read_range(consumer, ticks, start, committed)
        await _replay_ticks(
            pipeline,
            replayed,
            covered=covered,
            mended=mended,
            chunk_size=settings.max_batch_ticks,
            on_progress=on_progress,
        )
    pipeline.position = committed
    logger.info(
        "partition %d: restored %d symbols, %d bars, at offset %d",
        partition,
        len(bars),
        sum(map(len, bars.values())),
        committed,
    )


async def read_bars(
    consumer: AIOKafkaConsumer, tp: TopicPartition, log: BarLog, on_progress: Callable[[], None]
) -> None:
    """Go through the partition's bars once."""
    async for record in read_range(consumer, tp, 0, None):
        log.take(record)
        if record.offset % PROGRESS_EVERY == 0:
            on_progress()


async def _restore_symbols(
    pipeline: PartitionPipeline, bars: Mapping[str, Sequence[Bar]], load_models: LoadModels
) -> None:
    """Give each symbol its bars, the state of the last one, and its models."""

    async def load(symbol: str, closed: Sequence[Bar]) -> tuple[ModelSet | None, ModelSet | None]:
        version = str(closed[-1].state.get("version", UNTRAINED))
        with log_fields(symbol=symbol):
            return await load_models(pipeline.pipeline_of(symbol).name, version)

    # All at once, because an object store may be far away.
    loaded = await asyncio.gather(*(load(symbol, closed) for symbol, closed in bars.items()))
    for (symbol, closed), (serving, champion) in zip(bars.items(), loaded, strict=True):
        try:
            pipeline.pipeline_of(symbol).restore(closed, serving)
        except (KeyError, TypeError, ValueError) as error:
            logger.error(
                "%s: its last bar has no usable state (%r)", symbol, error, extra={"symbol": symbol}
            )
            pipeline.start_anew(symbol)
        restored = pipeline.pipeline_of(symbol)
        restored.models = champion or serving or restored.models


async def _replay_ticks(
    pipeline: PartitionPipeline,
    ticks: AsyncIterator[ConsumerRecord],
    *,
    covered: Mapping[str, int],
    mended: Collection[int],
    chunk_size: int,
    on_progress: Callable[[], None],
) -> None:
    """Go through answered ticks again, for their effect on the state alone."""
    chunk: list[ConsumerRecord] = []
    async for record in ticks:
        if record.offset in mended:
            continue  # it had no effect then
        chunk.append(record)
        if len(chunk) == chunk_size:
            pipeline.replay(chunk, covered)
            chunk = []
            on_progress()
            await asyncio.sleep(0)
    pipeline.replay(chunk, covered)
