"""Moves symbols to their new partition after partitions were added.

A symbol's first tick in its new partition waits until its bars, its state and all its ticks in the
partition before have been read; they are published into the new one before the tick is answered.
See docs/decisions/0021. It needs no other process, and no state but the topics.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from uuid import uuid4

from stream_app.kafka.placement import partition_of
from stream_app.messages.read_bars import ReadBar
from stream_app.messages.schemas import Bar
from stream_app.models.model_set import UNTRAINED
from stream_app.moving.catch_up import CatchUp
from stream_app.moving.source import Luggage, MoveSource
from stream_app.ops.log_fields import log_fields
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.moved_bars import packed
from stream_app.recovery.replica import SLICE, Log
from stream_app.recovery.restore import LoadModels, has_resumed, say_unusable

logger = logging.getLogger(__name__)

PART: Final = 250
"""Bars that are published at once; to make and to write them takes some 15 ms."""
PublishBars = Callable[[Sequence[Bar], int], Awaitable[None]]
"""Bars and a partition; returns once they are acknowledged."""


class Moves:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(self, access: LogAccess, *, load_models: LoadModels, publish: PublishBars) -> None:
        """Know of no move yet.

        Args:
            access: to the topics.
            load_models: from the registry.
            publish: bars.
        """
        self._access = access
        self._load_models = load_models
        self._publish = publish
        self._catch_up = CatchUp(access)
        self._logs: dict[int, BarLog] = {}
        """Of restored partitions."""
        self._sources: dict[tuple[int, int], MoveSource] = {}
        """By the partition that symbols go to and the one that they come from."""
        self._sent: dict[tuple[int, str], tuple[int, SymbolPipeline]] = {}
        """By the partition that a symbol came to and its name, what is published: before which
        offset, and the pipeline. Should the tick wait once more, a restart would find just that."""

    def note_restored(self, number: int, log: BarLog) -> None:
        """A partition has its state back, as these bars say."""
        self.forget(number)
        self._logs[number] = log

    def forget(self, number: int) -> None:
        """A partition has gone, or is restored again."""
        self._logs.pop(number, None)
        for pair in [pair for pair in self._sources if pair[0] == number]:
            del self._sources[pair]
        self._forget_sent(number, {})

    def _forget_sent(self, number: int, but: Mapping[str, int]) -> None:
        for name in [name for partition, name in self._sent if partition == number]:
            if but.get(name) != self._sent[number, name][0]:
                del self._sent[number, name]

    async def bring(
        self, pipeline: PartitionPipeline, of: Log, before: Mapping[str, int]
    ) -> dict[str, SymbolPipeline]:
        """Bring symbols that belong in a partition what they have elsewhere.

        Waits on the broker; the partition must stand still meanwhile.

        Args:
            pipeline: of the partition.
            of: the partition.
            before: by symbol, the offset of its first tick there, which is not answered yet.

        Returns:
            By symbol, a pipeline to continue with there; without those that were nowhere else.
        """
        started = time.perf_counter()
        brought: dict[str, SymbolPipeline] = {}
        came: dict[int, dict[str, Luggage]] = {}
        self._forget_sent(of.partition, before)
        for name, at in before.items():
            if (of.partition, name) in self._sent:
                _, target = self._sent[of.partition, name]
                target.place(None, is_misplaced=False, origin=pipeline.origin)
                _say_had_come(of.partition, target, "the group changed")
                brought[name] = target
                continue
            log = self._logs.get(of.partition)
            if log is not None and (bars := log.arrived(name, at)) is not None:
                brought[name] = await self._unpack(pipeline, name, bars)
                continue
            try:
                found = await self._find(pipeline, name, of)
            except ValueError as error:
                say_unusable(name, error)
                brought[name] = pipeline.new_symbol(name)
                brought[name].lose_history()
            else:
                if found is not None:
                    came.setdefault(found[0], {})[name] = found[1]
        for number, luggage in came.items():
            brought |= await self._move(pipeline, of, number, luggage, before)
            logger.info(
                "partition %d: from partition %d came %s with %d bars, in %.1f s",
                of.partition,
                number,
                ", ".join(luggage),
                sum(len(brought[name].window) for name in luggage),
                time.perf_counter() - started,
            )
        return brought

    async def _unpack(
        self, pipeline: PartitionPipeline, name: str, bars: Sequence[Bar]
    ) -> SymbolPipeline:
        """A worker that was killed has moved the symbol: its first answer may be there already."""
        target = await self._made(pipeline, name, bars, bars[-1])
        _say_had_come(bars[-1].source.partition, target, "a worker ended")
        return target

    async def _find(
        self, pipeline: PartitionPipeline, name: str, of: Log
    ) -> tuple[int, Luggage] | None:
        """Where a symbol was until now, and what it takes along; None for one that was here.

        Raises:
            ValueError: as `MoveSource.luggage_of`.
        """
        known = pipeline.symbols.get(name)
        since = known.residence.home if known is not None else 0
        counts = [count for count in pipeline.origin.counts if since < count < of.partitions]
        for count in reversed(counts):
            number = partition_of(name.encode(), range(count))
            if number == of.partition:
                continue
            luggage = (await self._source(of, number)).luggage_of(name)
            if luggage is not None:
                home = luggage.last.state.get("home")
                if home == count or home is None:  # None in bars from before it was recorded
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
                bar_s=self._access.settings.bar_seconds,
                window_bars=self._access.settings.window_bars,
            )
        try:
            async with self._access.readers.one() as consumer:
                await source.read_on(consumer, self._access.topics.bars.name, self._access.go_on)
        except BaseException:
            self._sources.pop(pair, None)  # a part of what was read may be kept nowhere
            raise
        return source

    async def _move(
        self,
        pipeline: PartitionPipeline,
        of: Log,
        number: int,
        luggage: Mapping[str, Luggage],
        before: Mapping[str, int],
    ) -> dict[str, SymbolPipeline]:
        """Bring symbols from another partition, as its log says at this moment."""
        there = PartitionPipeline(PredictionSettings.of(self._access.settings), partition=number)
        kept: dict[str, list[ReadBar]] = {}
        for name, each in luggage.items():
            kept[name] = await self._unpacked(each)
            target = await self._made(pipeline, name, kept[name], each.last)
            if each.has_gap:
                target.lose_history()
            there.symbols[name] = target
        covered = {name: each.covered for name, each in luggage.items()}
        newest, closed = await self._catch_up.where_they_were(there, number, covered)
        back = {name: before[name] for name in luggage if name in pipeline.symbols}
        if back:
            closed += await self._catch_up.where_they_go(there, of.partition, back)
        floor = pipeline.floor()
        for name in luggage:
            target = there.symbols[name]
            target.residence.home = of.partitions
            for last in target.checkpoint(newest, floor):
                found: dict[int, Bar | ReadBar] = {bar.ts_open: bar for bar in kept.pop(name)}
                found |= {bar.ts_open: bar for bar in closed if bar.symbol == name}
                bars = [bar for ts, bar in found.items() if ts != last.ts_open and bar.ticks]
                await self._send(of.partition, bars, last, before[name])
            # Not before it is all there: what is cut short begins again.
            self._sent[of.partition, name] = before[name], target
            if source := self._sources.get((of.partition, number)):  # unless it has gone
                source.forget(name)
        return there.symbols

    async def _unpacked(self, luggage: Luggage) -> list[ReadBar]:
        bars: list[ReadBar] = []
        for block in luggage.bars.blocks():
            bars.extend(block)
            await self._access.go_on()
        return bars

    async def _send(
        self, number: int, bars: Sequence[Bar | ReadBar], last: Bar, before: int
    ) -> None:
        """Publish what a symbol brings along; the last bar once all others are there."""
        kept = bars[-self._access.settings.window_bars :]
        part: list[Bar] = []
        for bar in packed(kept, last, before=before, by=uuid4().hex[:8]):
            if len(part) == PART:
                await self._publish(part, number)
                part = []
            part.append(bar)
        *others, last = part
        if others:
            await self._publish(others, number)
        await self._publish([last], number)

    async def _made(
        self,
        pipeline: PartitionPipeline,
        name: str,
        bars: Sequence[Bar] | Sequence[ReadBar],
        last: Bar,
    ) -> SymbolPipeline:
        """A symbol's pipeline as its bars say; the next batch adopts the champions."""
        target = pipeline.new_symbol(name)
        for first in range(0, len(bars), SLICE):
            target.recall(bars[first : first + SLICE])
            await self._access.go_on()
        version = str(last.state.get("version", UNTRAINED))
        with log_fields(symbol=name):
            serving, champion = await self._load_models(target, version)
        if not has_resumed(target, last, serving, pipeline.origin):
            target = pipeline.new_symbol(name)
            target.lose_history()
        target.models = champion or serving or target.models
        return target


def _say_had_come(number: int, target: SymbolPipeline, what: str) -> None:
    logger.info(
        "partition %d: %s had come with %d bars, before %s",
        number,
        target.symbol,
        len(target.window),
        what,
        extra={"symbol": target.symbol},
    )
