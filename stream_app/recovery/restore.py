"""Brings a partition's state back from Kafka's log, exactly as it was at a committed offset.

Each closed bar was published with its symbol's state just after the tick that closed it, and
with the partition's `floor`: the offset below which every tick is covered by such a state. So:
read the partition's bars, keep those made before the committed offset, take over each symbol's
last state, then go through the ticks from the floor to the committed offset without publishing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.dead_letters.mended import mended_offsets
from stream_app.kafka.reader import read_range
from stream_app.messages.schemas import Bar
from stream_app.models.model_set import UNTRAINED, ModelSet
from stream_app.ops.log_fields import log_fields
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.pauses import Pause
from stream_app.recovery.replica import Replica

logger = logging.getLogger(__name__)

RESUMED: Final = 16
"""Symbols after which other tasks run: a few milliseconds."""
LoadModels = Callable[[SymbolPipeline, str], Awaitable[tuple[ModelSet | None, ModelSet | None]]]
"""From a symbol and a version to that version's models and the champions, if any."""


async def restore_partition(
    replica: Replica,
    committed: int,
    access: LogAccess,
    *,
    load_models: LoadModels,
    learn: Callable[[set[int]], Awaitable[tuple[int, ...]]],
) -> PartitionPipeline:
    """Bring a replica to a committed offset, so that its pipeline can continue there.

    Waits on the broker; lets other tasks run every few hundred records. Called when this worker is
    given a partition.

    Args:
        replica: of the partition; a new one, or one that has followed its bars.
        committed: the offset of the first tick that is not answered yet.
        access: to the topics.
        load_models: from the registry.
        learn: from the counts of partitions that bars name to all that are known.

    Returns:
        The replica's pipeline.
    """
    settings, topics = access.settings, access.topics
    partition, pipeline, log = replica.of.partition, replica.pipeline, replica.log
    ticks = TopicPartition(topics.ticks.name, partition)
    stood_by = replica.is_settled
    async with access.readers.one() as consumer, replica.lock:
        await replica.read_on(consumer, topics.bars.name, access.go_on)
        await replica.settle(committed, access.go_on)
        pipeline.origin = replace(log.origin, counts=await learn(log.counts))
        await _resume_symbols(pipeline, log, load_models, access.go_on)
        bars = replica.bars
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
        covered = log.covered()
        start = max(log.floor, first)
        mended = await mended_offsets(
            consumer, partition, start, committed, topics=topics, settings=settings
        )
        replayed = read_range(consumer, ticks, start, committed)
        gone_through = await _replay_ticks(
            pipeline,
            replayed,
            covered=covered,
            mended=mended,
            chunk_size=settings.max_batch_ticks,
            go_on=access.go_on,
        )
    for symbol_pipeline in pipeline.symbols.values():
        symbol_pipeline.residence.note_left()
    pipeline.position = committed
    logger.info(
        "partition %d: restored %d symbols, %d bars, %d ticks replayed, at offset %d%s",
        partition,
        len(covered),
        bars,
        gone_through,
        committed,
        ", it stood by" if stood_by else "" if replica.from_copy is None else ", from its copy",
    )
    return pipeline


async def _resume_symbols(
    pipeline: PartitionPipeline,
    log: BarLog,
    load_models: LoadModels,
    go_on: Pause,
) -> None:
    """Give each symbol the state of its last bar, and its models."""

    async def load(symbol: str) -> tuple[Bar | None, ModelSet | None, ModelSet | None]:
        try:
            last = log.last_of(symbol)
        except ValueError as error:
            say_unusable(symbol, error)
            last = None
        version = UNTRAINED if last is None else str(last.state.get("version", UNTRAINED))
        with log_fields(symbol=symbol):
            return last, *await load_models(pipeline.pipeline_of(symbol), version)

    # All at once, because an object store may be far away.
    symbols = list(log.covered())
    loaded = await asyncio.gather(*map(load, symbols))
    for number, symbol in enumerate(symbols, 1):
        last, serving, champion = loaded[number - 1]
        if last is None or not has_resumed(
            pipeline.pipeline_of(symbol), last, serving, pipeline.origin
        ):
            pipeline.start_anew(symbol)
        restored = pipeline.pipeline_of(symbol)
        restored.models = champion or serving or restored.models
        if not number % RESUMED:
            await go_on()


def has_resumed(
    target: SymbolPipeline, last: Bar, serving: ModelSet | None, origin: Origin
) -> bool:
    """Restore a symbol from its last bar; logs if its state is unusable.

    Args:
        target: has recalled the symbol's bars.
        last: as of `SymbolPipeline.resume`.
        serving: the same.
        origin: the same.

    Returns:
        Whether it continues; otherwise it starts over, and reports that its history is lost.
    """
    try:
        target.resume(last, serving, origin=origin)
    except (KeyError, TypeError, ValueError) as error:
        say_unusable(target.symbol, error)
        return False
    return True


def say_unusable(symbol: str, error: Exception) -> None:
    """A symbol cannot go on from its last bar."""
    logger.error(
        "%s: its last bar has no usable state (%r)", symbol, error, extra={"symbol": symbol}
    )


async def _replay_ticks(
    pipeline: PartitionPipeline,
    ticks: AsyncIterator[ConsumerRecord],
    *,
    covered: Mapping[str, int],
    mended: Collection[int],
    chunk_size: int,
    go_on: Pause,
) -> int:
    """Go through answered ticks again, for their effect on the state alone.

    Returns:
        How many there were.
    """
    chunk: list[ConsumerRecord] = []
    count = 0
    async for record in ticks:
        if record.offset in mended:
            continue  # it had no effect then
        chunk.append(record)
        if len(chunk) == chunk_size:
            pipeline.replay(chunk, covered)
            count += len(chunk)
            chunk = []
            await go_on()
    pipeline.replay(chunk, covered)
    return count + len(chunk)
