"""What the worker does with its partitions: restore them, answer their ticks, say how it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app import metrics
from stream_app.ensemble import UNTRAINED, ModelSet
from stream_app.errors import ArtifactError
from stream_app.flood import FloodAlarm
from stream_app.pipeline import Answer, PartitionPipeline
from stream_app.publisher import Publisher
from stream_app.reader import open_reader
from stream_app.registry import Registry
from stream_app.restore import restore_partition
from stream_app.settings import Settings
from stream_app.symbol import SymbolPipeline
from stream_app.topics import Topics
from stream_app.transport import Batch

logger = logging.getLogger(__name__)

GAP_OFFSETS: Final = 100
"""A jump by more than a transaction's control records is looked into."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class TickService:
    """The partitions of one worker. Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        *,
        settings: Settings,
        topics: Topics,
        client_settings: dict[str, Any],
        registry: Registry,
        publisher: Publisher,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._client_settings = client_settings
        self._registry = registry
        self._publisher = publisher
        self._partitions: dict[int, PartitionPipeline] = {}
        self._restoring: dict[int, asyncio.Task[None]] = {}
        self._assigned: set[int] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Resolved with the error after which this process must not go on."""
        self.counts = {"ticks_read": 0, "predictions": 0, "dead_letters": 0, "bars": 0}
        self.counts |= {"late": 0, "duplicates": 0}
        self._flood = FloodAlarm(SystemClock().monotonic)
        metrics.DEAD_LETTER_ALARM.set_function(self._flood.level)

    @property
    def is_ready(self) -> bool:
        """Whether all partitions given to this worker are restored and answering."""
        return (
            self._assigned is not None
            and not self._restoring
            and self._assigned <= self._partitions.keys()
        )

    def symbols(self) -> dict[str, SymbolPipeline]:
        """Every symbol of this worker's restored partitions."""
        return {
            name: pipeline
            for number, partition in self._partitions.items()
            if number not in self._restoring
            for name, pipeline in partition.symbols.items()
        }

    def on_assigned(self, partitions: Iterable[int]) -> None:
        """Take a new assignment: forget what went elsewhere, restore what came. Returns at once."""
        self._assigned = set(partitions)
        for number in self._partitions.keys() - self._assigned:
            del self._partitions[number]
        for number in self._restoring.keys() - self._assigned:
            self._restoring.pop(number).cancel()
        for number in self._assigned - self._restoring.keys():
            task = asyncio.create_task(self._check(number))
            self._restoring[number] = task
            task.add_done_callback(partial(self._checked, number))
        metrics.PARTITIONS.set(len(self._assigned))

    def _checked(self, number: int, task: asyncio.Task[None]) -> None:
        if self._restoring.get(number) is task:
            del self._restoring[number]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the process by `failed`: going on would answer from a state that lacks ticks."""
        if not self.failed.done():
            logger.error("the worker ends: %s: %s", type(error).__name__, error, exc_info=error)
            self.failed.set_result(error)

    async def _check(self, number: int) -> None:
        """Make sure that the partition's state is that of its committed offset."""
        committed = await self._committed(number)
        kept = self._partitions.get(number)
        if kept is None or kept.position != committed:
            await self._restore(number, committed)

    async def _committed(self, number: int) -> int:
        tp = TopicPartition(self._topics.ticks.name, number)
        consumer = AIOKafkaConsumer(
            **self._client_settings,
            group_id=self._settings.consumer_group,
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            consumer.assign([tp])
            beginning: int = (await consumer.beginning_offsets([tp]))[tp]
            committed: int | None = await consumer.committed(tp)
            return max(beginning, committed or 0)
        finally:
            await consumer.stop()

    async def _restore(self, number: int, committed: int) -> None:
        pipeline = PartitionPipeline(self._settings)
        await restore_partition(
            number,
            committed,
            pipeline=pipeline,
            settings=self._settings,
            topics=self._topics,
            client_settings=self._client_settings,
            load_models=self._load_models,
        )
        self._partitions[number] = pipeline

    async def _load_models(
        self, symbol: str, version: str
    ) -> tuple[ModelSet | None, ModelSet | None]:
        champion = await asyncio.to_thread(self._registry.champion, symbol)
        if version == UNTRAINED:
            return None, champion
        if champion is not None and champion.version == version:
            return champion, champion
        try:
            return await asyncio.to_thread(self._registry.load, symbol, version), champion
        except ArtifactError as error:
            logger.warning("%s: the version that served last is not to be had: %s", symbol, error)
            return None, champion

    async def answer(self, batch: Batch) -> None:
        """Answer a batch: returns once all that follows from it is acknowledged.

        Called by the ticks agent, one batch at a time. An error that is not the input's fault
        ends the process through `fail`, with the batch not committed.
        """
        if self.failed.done():
            return
        self._idle.clear()
        try:
            pipeline = await self._pipeline(batch)
            if pipeline is None:
                return
            started = time.perf_counter()
            answer = pipeline.process(batch.records)
            metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
            await self._publisher.publish(answer, batch.tp.partition)
            batch.answered()
            self._count(batch, answer)
        except Exception as error:  # noqa: BLE001 - any other way out loses the batch in silence
            self.fail(error)
        finally:
            self._idle.set()

    async def _pipeline(self, batch: Batch) -> PartitionPipeline | None:
        number = batch.tp.partition
        while number in self._restoring:
            await asyncio.wait([self._restoring[number]])
        if number not in (self._assigned or ()):
            return None  # it went to another worker while the batch waited, which answers it
        pipeline = self._partitions.get(number)
        if pipeline is not None and batch.first_offset > pipeline.position + GAP_OFFSETS:
            await self._look_for_loss(pipeline, batch)
        if pipeline is None or batch.first_offset < pipeline.position:
            # Read again from an earlier commit: the state must go back with it.
            await self._restore(number, batch.first_offset)
            pipeline = self._partitions[number]
        return pipeline

    async def _look_for_loss(self, pipeline: PartitionPipeline, batch: Batch) -> None:
        """A jump in the offsets is compaction or an aborted transaction, or lost ticks."""
        tp = TopicPartition(self._topics.ticks.name, batch.tp.partition)
        async with open_reader(self._client_settings) as consumer:
            first: int = (await consumer.beginning_offsets([tp]))[tp]
        if first > pipeline.position:
            logger.warning(
                "partition %d: retention has removed the ticks %d to %d before they were read",
                tp.partition,
                pipeline.position,
                first - 1,
            )
            pipeline.lose_history()

    def _count(self, batch: Batch, answer: Answer) -> None:
        counts = self.counts
        counts["ticks_read"] += len(batch.records)
        counts["predictions"] += len(answer.predictions)
        counts["dead_letters"] += len(answer.dead_letters)
        counts["bars"] += len(answer.bars)
        counts["late"] += answer.late
        counts["duplicates"] += answer.duplicates
        metrics.TICKS_READ.inc(len(batch.records))
        metrics.PREDICTIONS.inc(len(answer.predictions))
        metrics.DEGRADED.inc(sum(bool(item.degraded) for item in answer.predictions))
        metrics.BARS.inc(len(answer.bars))
        metrics.LATE.inc(answer.late)
        metrics.DUPLICATES.inc(answer.duplicates)
        for letter in answer.dead_letters:
            metrics.DEAD_LETTERS.labels(letter.rejection.reason).inc()
        self._flood.note(len(batch.records), len(answer.dead_letters))

    async def drain(self) -> None:
        """Wait until the batch in hand is answered."""
        await self._idle.wait()

    def status(self) -> dict[str, Any]:
        """What `/status` shows."""
        symbols = self.symbols()
        trained = sum(len(item.models.members) > 1 for item in symbols.values())
        metrics.SYMBOLS_TRAINED.set(trained)
        return {
            **self.counts,
            "ready": self.is_ready,
            "partitions": sorted(self._assigned or ()),
            "restoring": sorted(self._restoring),
            "symbols": {
                name: {"bars": len(item.window), "version": item.models.version}
                for name, item in sorted(symbols.items())
            },
        }
