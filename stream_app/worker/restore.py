"""Brings a partition's state back from Kafka's log, exactly as it was at a committed offset.

Each closed bar was published with its symbol's state just after the tick that closed it, and
with the partition's `floor`: the offset below which every tick is covered by such a state. So:
read the partition's bars, keep those made before the committed offset, take over each symbol's
last state, then go through the ticks from the floor to the committed offset without publishing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics
from stream_app.messages.codec import decode_bar
from stream_app.messages.schemas import Bar
from stream_app.models.model_set import UNTRAINED, ModelSet
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

PROGRESS_EVERY: Final = 1000

LoadModels = Callable[[str, str], Awaitable[tuple[ModelSet | None, ModelSet | None]]]
"""From a symbol and a version to the models of that version and the champions, where there are."""


async def restore_partition(
    partition: int,
    committed: int,
    *,
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
        pipeline: an empty one.
        settings: the worker's.
        topics: the names.
        client_settings: how to connect.
        load_models: from the registry.
        on_progress: called now and then, while it gets on.
    """
    async with open_reader(client_settings) as consumer:
        bars_tp = TopicPartition(topics.bars.name, partition)
        ticks_tp = TopicPartition(topics.ticks.name, partition)
        log = _BarLog(topics.ticks.name, committed)
        async for record in read_range(consumer, bars_tp, 0, None):
            log.take(record)
            if record.offset % PROGRESS_EVERY == 0:
                on_progress()
        bars = log.bars(settings.window_bars)
        for symbol, closed in bars.items():
            version = str(closed[-1].state.get("version", UNTRAINED))
            serving, champion = await load_models(symbol, version)
            try:
                pipeline.pipeline_of(symbol).restore(closed, serving)
            except (KeyError, TypeError, ValueError) as error:
                logger.error("%s: its last bar has no usable state (%r)", symbol, error)
                pipeline.start_anew(symbol)
            restored = pipeline.pipeline_of(symbol)
            restored.models = champion or serving or restored.models

        first = (await consumer.beginning_offsets([ticks_tp]))[ticks_tp]
        if first > log.floor:
            logger.warning(
                "partition %d: retention has removed the ticks %d to %d, which no bar covers",
                partition,
                log.floor,
                first - 1,
            )
            pipeline.lose_history()
        covered = {symbol: closed[-1].source.offset for symbol, closed in bars.items()}
        chunk: list[ConsumerRecord] = []
        async for record in read_range(consumer, ticks_tp, max(log.floor, first), committed):
            chunk.append(record)
            if len(chunk) == settings.max_batch_ticks:
                pipeline.replay(chunk, covered)
                chunk = []
                on_progress()
                await asyncio.sleep(0)
        pipeline.replay(chunk, covered)
    pipeline.position = committed
    logger.info(
        "partition %d: restored %d symbols, %d bars, at offset %d",
        partition,
        len(bars),
        sum(map(len, bars.values())),
        committed,
    )


class _BarLog:
    """What the bars topic says of a partition, for a restart at one offset.

    A bar can be there more than once: a worker that was killed published it, and so did the one
    after it; and a checkpoint is a bar with a later state. The last one counts.
    """

    def __init__(self, ticks: str, committed: int) -> None:
        self._ticks = ticks
        self._committed = committed
        self._bars: dict[str, dict[int, Bar]] = {}
        self._newest_ts: dict[str, int] = {}
        """By symbol, the opening time of the bar whose state is kept."""
        self._floor_at = -1
        self.floor = 0
        """The offset below which every tick is covered by some bar's state."""

    def take(self, record: ConsumerRecord) -> None:
        """Note a record, unless it was made from ticks that are not answered yet."""
        try:
            bar = decode_bar(record.value or b"")
            floor = int(bar.state["floor"])
        except (ValueError, KeyError, TypeError) as error:
            place = f"bars partition {record.partition} offset {record.offset}"
            logger.warning("%s: %s", place, error)
            return
        source = bar.source
        if source.topic != self._ticks or source.offset >= self._committed:
            return
        bars = self._bars.setdefault(bar.symbol, {})
        newest_ts = self._newest_ts.get(bar.symbol, bar.ts_open)
        # Only the newest bar's state is used, and a month of states would fill the memory.
        if bar.ts_open >= newest_ts:
            if newest_ts in bars:
                bars[newest_ts] = replace(bars[newest_ts], state={})
            self._newest_ts[bar.symbol] = bar.ts_open
        else:
            bar = replace(bar, state={})
        bars[bar.ts_open] = bar
        if source.offset >= self._floor_at:
            self.floor, self._floor_at = floor, source.offset

    def bars(self, last: int) -> dict[str, list[Bar]]:
        """The last bars of each symbol, oldest first."""
        return {
            symbol: [bar for _, bar in sorted(kept.items())[-last:]]
            for symbol, kept in self._bars.items()
        }
