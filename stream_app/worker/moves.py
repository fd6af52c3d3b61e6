"""Brings symbols to the partition where they belong since partitions were added.

A symbol's first tick in its new partition waits until its bars, its state and all its ticks in the
partition before have been read; they are published into the new one before the tick is answered.
docs/decisions/0021 says why. Nobody is asked, and nothing is remembered but what is on the topics.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.dead_letters.mended import mended_offsets
from stream_app.kafka.connection import end_offset
from stream_app.kafka.placement import partition_of
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics
from stream_app.messages.read_bars import ReadBar
from stream_app.messages.schemas import Bar, Source
from stream_app.models.model_set import UNTRAINED
from stream_app.ops.log_fields import log_fields
from stream_app.prediction.pipeline import PartitionPipeline, SortedRecords
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.settings import Settings
from stream_app.worker.bar_log import BarLog
from stream_app.worker.move_source import Luggage, MoveSource
from stream_app.worker.moved_bars import packed
from stream_app.worker.replica import Log
from stream_app.worker.restore import LoadModels

logger = logging.getLogger(__name__)

PART: Final = 500
"""Bars that are published at once."""
PublishBars = Callable[[Sequence[Bar], int], Awaitable[None]]
"""Bars and a partition; returns once they are acknowledged."""


class Moves:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        *,
        settings: Settings,
        topics: Topics,
        client_settings: dict[str, Any],
        load_models: LoadModels,
        publish: PublishBars,
        on_progress: Callable[[], None],
    ) -> None:
        """Know of no move yet.

        Args:
            settings: the worker's.
            topics: the names.
            client_settings: how to connect.
            load_models: from the registry.
            publish: bars.
            on_progress: called now and then.
        """
        self._settings = settings
        self._topics = topics
        self._client_settings = client_settings
        self._load_models = load_models
        self._publish = publish
        self._on_progress = on_progress
        self._logs: dict[int, BarLog] = {}
        """Of restored partitions."""
        self._sources: dict[tuple[int, int], MoveSource] = {}
        """By the partition that symbols go to and the one that they come from."""

    def note_restored(self, number: int, log: BarLog) -> None:
        """A partition has its state back, as these bars say."""
        self.forget(number)
        self._logs[number] = log

    def forget(self, number: int) -> None:
        """A partition has gone, or is restored anew."""
        self._logs.pop(number, None)
        for pair in [pair for pair in self._sources if pair[0] == number]:
            del self._sources[pair]

    async def settle(self, pipeline: PartitionPipeline, of: Log, batch: SortedRecords) -> None:
        """Give the symbols of a batch that belong in its partition what they have elsewhere.

        Waits on the broker. The symbols are settled then.

        Args:
            pipeline: of the partition, just before the batch.
            of: the partition.
            batch: its records.
        """
        started = time.perf_counter()
        names = [name for name in pipeline.unsettled(batch) if pipeline.is_home(name)]
        before = {name: batch.ticks[name][0][1] for name in names}
        came: dict[int, dict[str, Luggage]] = {}
        for name in names:
            log = self._logs.get(of.partition)
            if log is not None and (bars := log.arrived(name, before[name])) is not None:
                await self._unpack(pipeline, name, bars)
            elif found := await self._find(pipeline, name, of):
                came.setdefault(found[0], {})[name] = found[1]
        for number, luggage in came.items():
            await self._move(pipeline, of, number, luggage, before)
            logger.info(
                "partition %d: from partition %d came %s with %d bars, in %.1f s",
                of.partition,
                number,
                ", ".join(luggage),
                sum(len(pipeline.symbols[name].window) for name in luggage),
                time.perf_counter() - started,
            )
        for name in names:
            pipeline.pipeline_of(name).home = pipeline.origin.partitions

    async def _unpack(self, pipeline: PartitionPipeline, name: str, bars: Sequence[Bar]) -> None:
        """A worker that was killed has moved the symbol: its first answer may be there already."""
        target = pipeline.symbols[name] = await self._made(pipeline, name, [bars], bars[-1])
        logger.info(
            "partition %d: %s had come with %d bars, before a worker ended",
            bars[-1].source.partition,
            name,
            len(target.window),
            extra={"symbol": name},
        )

    async def _find(
        self, pipeline: PartitionPipeline, name: str, of: Log
    ) -> tuple[int, Luggage] | None:
        """Where a symbol was until now, and what it takes along; None for one that was here."""
        known = pipeline.symbols.get(name)
        since = known.home if known is not None else 0
        counts = [count for count in pipeline.origin.counts if since < count < of.partitions]
        for count in reversed(counts):
            number = partition_of(name.encode(), range(count))
            if number == of.partition:
                continue
            luggage = (await self._source(of, number)).luggage_of(name)
            if luggage is not None:
                home = luggage.last.state.get("home")
                if home == count or home is None:  # None in bars of before it was noted
                    return number, luggage
        return None

    async def _source(self, of: Log, number: int) -> MoveSource:
        """The bars of a partition, as of now."""
        pair = (of.partition, number)
        there = Log(
            topic=of.topic, partition=number, topic_id=of.topic_id, partitions=of.partitions
        )
        source = self._sources.get(pair)
        if source is None or source.of != there:
            everywhere, here = range(of.partitions), of.partition
            source = self._sources[pair] = MoveSource(
                there,
                is_wanted=lambda name: partition_of(name.encode(), everywhere) == here,
                bar_s=self._settings.bar_seconds,
                window_bars=self._settings.window_bars,
            )
        async with open_reader(self._client_settings) as consumer:
            await source.read_on(consumer, self._topics.bars.name, self._on_progress)
        return source

    async def _move(
        self,
        pipeline: PartitionPipeline,
        of: Log,
        number: int,
        luggage: Mapping[str, Luggage],
        before: Mapping[str, int],
    ) -> None:
        """Bring symbols from another partition, as its log says at this moment."""
        there = PartitionPipeline(PredictionSettings.of(self._settings), partition=number)
        for name, each in luggage.items():
            target = await self._made(pipeline, name, each.bars.blocks(), each.last)
            if each.has_gap:
                target.lose_history()
            there.symbols[name] = target
        newest, closed = await self._catch_up(there, number, luggage)
        source, floor = self._sources[of.partition, number], pipeline.floor()
        for name, each in luggage.items():
            target = there.symbols[name]
            target.home = of.partitions
            for last in target.checkpoint(newest, floor):
                found: dict[int, Bar | ReadBar] = {
                    bar.ts_open: bar for block in each.bars.blocks() for bar in block
                }
                found |= {bar.ts_open: bar for bar in closed if bar.symbol == name}
                bars = [bar for ts, bar in found.items() if ts != last.ts_open and bar.ticks]
                await self._send(of.partition, bars, last, before[name])
            pipeline.symbols[name] = target
            source.forget(name)

    async def _send(
        self, number: int, bars: Sequence[Bar | ReadBar], last: Bar, before: int
    ) -> None:
        """Publish what a symbol brings along; the last bar once all others are there."""
        kept = bars[-self._settings.window_bars :]
        *others, last = packed(kept, last, before=before)
        for first in range(0, len(others), PART):
            await self._publish(others[first : first + PART], number)
        await self._publish([last], number)

    async def _made(
        self,
        pipeline: PartitionPipeline,
        name: str,
        blocks: Iterable[Sequence[Bar] | Sequence[ReadBar]],
        last: Bar,
    ) -> SymbolPipeline:
        """A symbol's pipeline as its bars say; the next batch adopts the champions."""
        target = pipeline.new_symbol(name)
        for block in blocks:
            target.recall(block)
            self._on_progress()
            await asyncio.sleep(0)
        version = str(last.state.get("version", UNTRAINED))
        with log_fields(symbol=name):
            serving, champion = await self._load_models(target, version)
        try:
            target.resume(last, serving, origin=pipeline.origin)
        except (KeyError, TypeError, ValueError) as error:
            logger.error("%s: its last bar has no usable state (%r)", name, error)
            target = pipeline.new_symbol(name)
            target.lose_history()
        target.models = champion or serving or target.models
        return target

    async def _catch_up(
        self, there: PartitionPipeline, number: int, luggage: Mapping[str, Luggage]
    ) -> tuple[Source, list[Bar]]:
        """Go through the ticks that no state covers, up to the end of the log as it is now.

        Whoever has that partition answers them.

        Returns:
            The newest tick, and the bars that the ticks have closed.
        """
        topic, settings = self._topics.ticks.name, self._settings
        covered = {name: each.covered for name, each in luggage.items()}
        keys = {name.encode() for name in covered}
        start, tp = min(covered.values()) + 1, TopicPartition(topic, number)
        chunk: list[ConsumerRecord] = []
        bars: list[Bar] = []

        def go_through() -> None:
            bars.extend(there.replay(chunk, covered, others=sys.maxsize).bars)
            chunk.clear()
            self._on_progress()

        async with open_reader(self._client_settings) as consumer:
            consumer.assign([tp])
            end = await end_offset(consumer, tp)
            first = (await consumer.beginning_offsets([tp]))[tp]
            for name, offset in covered.items():
                if offset + 1 < first:
                    there.symbols[name].lose_history()
            mended = await mended_offsets(
                consumer, number, start, end, topics=self._topics, settings=settings
            )
            async for record in read_range(consumer, tp, start, end):
                if record.offset in mended:
                    continue
                if settings.tick_mapping.key_required and record.key not in keys:
                    continue
                chunk.append(record)
                if len(chunk) == settings.max_batch_ticks:
                    go_through()
                    await asyncio.sleep(0)
        go_through()
        newest = max(end - 1, *covered.values())
        return Source(topic=topic, partition=number, offset=newest), bars
