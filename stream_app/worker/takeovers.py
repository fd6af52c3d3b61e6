"""Brings partitions to where the group stands in them. What passes by itself is waited for."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TypeVar

from aiokafka import TopicPartition

from stream_app.kafka.place import Place
from stream_app.kafka.retries import until_answered
from stream_app.moving.symbol_places import SymbolPlaces
from stream_app.ops import metrics
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.replica import Log, Replica
from stream_app.recovery.restore import LoadModels, restore_partition
from stream_app.worker.commits import Commits
from stream_app.worker.ledger import Batch

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class Takeovers:
    """Waits on the broker, and again through an outage. Lives in the event loop."""

    def __init__(
        self,
        access: LogAccess,
        *,
        commits: Commits,
        places: SymbolPlaces,
        load_models: LoadModels,
    ) -> None:
        """Ask nothing yet.

        Args:
            access: to the topics.
            commits: of the group.
            places: of the symbols.
            load_models: of a symbol.
        """
        self._access = access
        self._commits = commits
        self._places = places
        self._load_models = load_models

    def log_of(self, number: int) -> Log:
        """The log of a partition as it is now."""
        return Log(
            topic=self._access.topics.ticks.name,
            partition=number,
            topic_id=self._commits.topic_id,
            partitions=self._places.count,
        )

    def new_replica(self, committed: int, of: Log) -> Replica:
        """An empty one."""
        settings, placement = self._access.settings, self._places.placement
        pipeline = PartitionPipeline(
            PredictionSettings.of(settings),
            partition=of.partition,
            placement=placement(of.partitions),
        )
        return Replica(
            pipeline,
            committed,
            of=of,
            placement=placement,
            bar_s=settings.bar_seconds,
            window_bars=settings.window_bars,
            copies=self._access.copies,
        )

    async def ask(self, number: int, request: Callable[[], Awaitable[_T]]) -> _T:
        """Ask the broker about a partition."""
        return await until_answered(
            request, what=f"partition {number}: cannot restore", logger=logger
        )

    async def places(self, numbers: Collection[int]) -> dict[int, Place]:
        """Where the group stands in them. At once, for each connection takes its time."""
        return await until_answered(
            partial(self._commits.places, numbers),
            what="partitions cannot be restored",
            logger=logger,
        )

    async def start(self, place: Place) -> int:
        """The offset to continue from."""
        return await self.ask(place.partition, partial(self._commits.start, place))

    async def committed(self, number: int) -> int:
        """The offset of the first tick of a partition that the group has not answered."""

        async def ask() -> int:
            return (await self._commits.places([number]))[number].start

        return await self.ask(number, ask)

    async def restore(
        self, number: int, committed: int, known: Callable[[], Replica | None]
    ) -> PartitionPipeline:
        """A partition's pipeline at a committed offset.

        Args:
            number: of the partition.
            committed: the offset of the first tick that is not answered.
            known: gives what was known of the partition before; asked once.
        """
        return await self.ask(number, partial(self._restore, number, committed, known))

    async def _restore(
        self, number: int, committed: int, known: Callable[[], Replica | None]
    ) -> PartitionPipeline:
        started = time.perf_counter()
        log, replica = self.log_of(number), known()
        if replica is None or not replica.leads_to(committed, log):
            replica = self.new_replica(committed, log)
        pipeline = await restore_partition(
            replica,
            committed,
            self._access,
            load_models=self._load_models,
            learn=self._places.learn,
        )
        await self._places.note_restored(pipeline, number, replica.log)
        metrics.RESTORE_SECONDS.observe(time.perf_counter() - started)
        return pipeline

    async def look_for_loss(self, pipeline: PartitionPipeline, batch: Batch) -> None:
        """A jump in the offsets is compaction or an aborted transaction, or lost ticks."""
        await self.ask(batch.tp.partition, partial(self._look_for_loss, pipeline, batch))

    async def _look_for_loss(self, pipeline: PartitionPipeline, batch: Batch) -> None:
        tp = TopicPartition(self._access.topics.ticks.name, batch.tp.partition)
        async with self._access.readers.one() as consumer:
            first: int = (await consumer.beginning_offsets([tp]))[tp]
        if first > pipeline.position:
            logger.warning(
                "partition %d: retention has removed the ticks %d to %d before they were read",
                tp.partition,
                pipeline.position,
                first - 1,
            )
            pipeline.lose_history()
