"""Where symbols belong: their keys and the number of partitions say it, which may rise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from stream_app.kafka.placement import placement
from stream_app.moving.moves import Moves, PublishBars
from stream_app.moving.partition_counts import PartitionCounts
from stream_app.prediction.pipeline import PartitionPipeline, SortedRecords
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.replica import Log
from stream_app.recovery.restore import LoadModels

logger = logging.getLogger(__name__)

ASK_EVERY_S: Final = 1.0
"""At most, because of symbols that are known to come where they do not belong."""
STRAYS_FOR_S: Final = 4.0
"""Ticks of a symbol that come so soon after others where it does not belong are no news: the number
of partitions is looked at twice in that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """What a batch waits for."""

    symbols: frozenset[str]
    has_news: bool
    """Whether symbols come that do not belong here: the number of partitions may have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What there was of a symbol elsewhere."""

    before: int
    """Offset of its first tick here."""
    partitions: int
    """How many there were when it was looked for."""
    pipeline: SymbolPipeline | None
    """None where there was nothing."""


class SymbolPlaces:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        access: LogAccess,
        *,
        pipelines: Callable[[], Iterable[PartitionPipeline]],
        load_models: LoadModels,
        publish_bars: PublishBars,
        on_brought: Callable[[], None],
        on_widened: Callable[[], None],
    ) -> None:
        """Know what topics.yaml says.

        Args:
            access: to the topics.
            pipelines: of the partitions that this worker answers.
            load_models: from the registry.
            publish_bars: into a partition.
            on_brought: called when more symbols have what they had elsewhere.
            on_widened: called when there are partitions that nobody may have been given yet.
        """
        self._access = access
        self._pipelines = pipelines
        self._on_brought = on_brought
        self._on_widened = on_widened
        self.count = access.topics.ticks.partitions
        """Of partitions, as the broker says, which may have more than topics.yaml had."""
        self._counts = PartitionCounts(access)
        self._strays: dict[tuple[int, str], float] = {}
        """By partition and symbol that did not belong there, when it came last, loop time."""
        self._brought: dict[int, dict[str, Brought]] = {}
        """By partition and symbol, for batches that are about to be read again."""
        self._asked_s = 0.0
        """When the number of partitions was asked for because of one, loop time."""
        self._moves = Moves(access, load_models=load_models, publish=publish_bars)

    def placement(self, count: int) -> Callable[[str], tuple[int, ...]]:
        """Where symbols belong in a topic of so many partitions; see `kafka.placement`."""
        return placement(count, key_required=self._access.settings.tick_mapping.key_required)

    async def note_count(self, count: int, *, is_given: bool = False) -> None:
        """The ticks topic has so many partitions. Updates where symbols belong.

        Args:
            count: as the broker says.
            is_given: whether it was asked because partitions were given to this worker.
        """
        if not self._counts.counts:
            self.count = count
            return
        # Kafka never takes partitions away: a broker that says fewer has not heard of them yet.
        if count <= self.count:
            return
        counts = await self._counts.learn(count)
        if count <= self.count:
            return  # told twice
        self.count = count
        logger.info("partitions were added: there are %d, after %s", count, list(counts[:-1]))
        for pipeline in self._pipelines():
            self._place(pipeline)
        if not is_given:
            self._on_widened()

    def _place(self, pipeline: PartitionPipeline) -> None:
        origin = replace(pipeline.origin, counts=self._counts.counts)
        pipeline.place(self.placement(self.count), origin)

    async def learn(self, said: set[int]) -> tuple[int, ...]:
        """From the counts that bars of a partition name to all; waits on the broker."""
        return await self._counts.learn(self.count, said)

    async def note_restored(self, pipeline: PartitionPipeline, number: int, log: BarLog) -> None:
        """A partition has its state back, as these bars say."""
        if pipeline.origin.partitions != self.count:  # they were added meanwhile
            await self._counts.learn(self.count)
            self._place(pipeline)
        self._brought.pop(number, None)
        self._moves.note_restored(number, log)

    def forget(self, number: int) -> None:
        """A partition has gone."""
        self._brought.pop(number, None)
        self._strays = {key: at_s for key, at_s in self._strays.items() if key[0] != number}
        self._moves.forget(number)

    def install(
        self, pipeline: PartitionPipeline, batch: SortedRecords, number: int
    ) -> Lacking | None:
        """Give symbols that are new in their partition what was brought for them. At once.

        Args:
            pipeline: of the partition, just before the batch.
            batch: its records.
            number: of the partition.

        Returns:
            None where the batch may be answered; else what `bring` has to bring before.
        """
        names = pipeline.unsettled(batch)
        if not names:
            return None
        brought, count = self._brought.setdefault(number, {}), pipeline.origin.partitions
        lacking = [
            name
            for name in names
            if (found := brought.get(name)) is None
            or (found.before, found.partitions) != (batch.ticks[name][0][1], count)
        ]
        for name in lacking:
            brought.pop(name, None)
        # A producer may know of more partitions before this worker does.
        strays = [name for name in lacking if not pipeline.is_home(name)]
        news = [name for name in strays if self._has_come(pipeline, name, number)]
        if news or len(strays) < len(lacking):
            return Lacking(symbols=frozenset(lacking), has_news=bool(news))
        has_come = False
        for name in names:
            found = brought.pop(name, None)
            if found is not None and found.pipeline is not None:
                pipeline.symbols[name] = found.pipeline
                has_come = True
            if pipeline.is_home(name):
                pipeline.pipeline_of(name).residence.home = count
        if has_come:
            self._on_brought()
        return None

    async def bring(
        self,
        pipeline: PartitionPipeline,
        batch: SortedRecords,
        lacking: Lacking,
        log_of: Callable[[int], Log],
        number: int,
    ) -> None:
        """Bring symbols of a batch what they have elsewhere, for `install`. Waits on the broker.

        Args:
            pipeline: of the partition, just before the batch.
            batch: its records.
            lacking: what `install` said.
            log_of: from a partition to its log as it is now.
            number: of the partition.
        """
        if lacking.has_news:
            await self._ask_count()
        log, count = log_of(number), pipeline.origin.partitions
        before = {name: batch.ticks[name][0][1] for name in sorted(lacking.symbols)}
        at_home = {name: at for name, at in before.items() if pipeline.is_home(name)}
        came = await self._moves.bring(pipeline, log, at_home)
        brought = self._brought.setdefault(number, {})
        for name, at in before.items():
            brought[name] = Brought(before=at, partitions=count, pipeline=came.get(name))
        if log.partitions != self.count:
            self._place(pipeline)  # more were added meanwhile

    def _has_come(self, pipeline: PartitionPipeline, name: str, number: int) -> bool:
        """Whether a symbol comes where it does not belong, and did not do so just before."""
        now_s, key = asyncio.get_running_loop().time(), (number, name)
        before_s, self._strays[key] = self._strays.get(key), now_s
        if name not in pipeline.symbols:
            return True
        if now_s - self._asked_s < ASK_EVERY_S:
            return False  # many may be sent where they do not belong for good, each of them slow
        return before_s is None or now_s - before_s > STRAYS_FOR_S

    async def _ask_count(self) -> None:
        self._asked_s = asyncio.get_running_loop().time()
        async with self._access.group() as view:
            await self.note_count((await view.known_topic()).partitions)
