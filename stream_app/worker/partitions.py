"""The partitions of one worker: which it has, and that each stands at its committed offset."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from functools import partial
from typing import Any, Final, TypeVar

from aiokafka import TopicPartition

from stream_app.kafka.group import Place
from stream_app.kafka.reader import open_reader
from stream_app.kafka.retries import until_answered
from stream_app.kafka.topic_check import Topics
from stream_app.ops import metrics
from stream_app.ops.log_fields import log_fields
from stream_app.prediction.pipeline import PartitionPipeline, SortedRecords
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.settings import Settings
from stream_app.worker.arrival import Arrival
from stream_app.worker.commits import Commits
from stream_app.worker.ledger import Batch
from stream_app.worker.moves import PublishBars
from stream_app.worker.replica import Log, Replica
from stream_app.worker.restore import LoadModels, restore_partition
from stream_app.worker.settling import Settling
from stream_app.worker.sharing import Report, Share
from stream_app.worker.standbys import Standbys
from stream_app.worker.symbol_places import SymbolPlaces

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

GAP_OFFSETS: Final = 100
"""A jump by more than a transaction's control records is looked into."""


class Partitions:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        *,
        settings: Settings,
        topics: Topics,
        client_settings: dict[str, Any],
        load_models: LoadModels,
        on_restored: Callable[[], None],
        on_settled: Callable[[], None],
        on_progress: Callable[[], None],
        read_again: Callable[[int], None],
        hold: Callable[[Batch], None],
        release: Callable[[int], None],
        commit: Callable[[int, int], Awaitable[None]],
        publish_bars: PublishBars,
        join_again: Callable[[], Coroutine[Any, Any, None]],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Have no partition yet.

        Args:
            settings: the worker's.
            topics: the names.
            client_settings: how to connect.
            load_models: of a symbol.
            on_restored: called when a partition has its state back.
            on_settled: called when all partitions of an assignment have; there may be none.
            on_progress: called with each step of a restore.
            read_again: has a partition's ticks given again from the commit on.
            hold: gives a batch back, and has its partition read no further.
            release: has a partition read on that was held.
            commit: notes an offset of a partition as answered.
            publish_bars: into a partition.
            join_again: has the group divide the partitions anew.
            fail: ends the process.
        """
        self._settings = settings
        self._topics = topics
        self._client_settings = client_settings
        self._load_models = load_models
        self._on_restored = on_restored
        self._on_settled = on_settled
        self._on_progress = on_progress
        self._read_again = read_again
        self._commit = commit
        self._join_again = join_again
        self._fail = fail
        self._partitions: dict[int, PartitionPipeline] = {}
        self._restoring: dict[int, asyncio.Task[None]] = {}
        self._assigned: frozenset[int] | None = None
        self._generation = 0
        """Of the group, at the last assignment: each change of the group has the next number."""
        self._answered: dict[int, int] = {}
        """By partition, the offset after the last tick whose answer the broker has acknowledged."""
        self._taken_over: dict[int, Replica] = {}
        """Of partitions that are being restored, what was known of them before."""
        self._share = Share()
        """What the group said at the last assignment."""
        self._asking: asyncio.Task[None] | None = None
        """Since the last assignment."""
        self._arrival = Arrival()
        self.standbys = Standbys(
            topics=topics,
            client_settings=client_settings,
            group=settings.consumer_group,
            new_replica=self._new_replica,
            on_warm=self._note_warm,
        )
        self.places = SymbolPlaces(
            settings=settings,
            topics=topics,
            client_settings=client_settings,
            pipelines=self._partitions.values,
            load_models=load_models,
            publish_bars=publish_bars,
            on_brought=on_restored,
            on_widened=self._note_widened,
            on_progress=on_progress,
        )
        self._settling = Settling(
            self.places, log_of=self._log, hold=hold, release=release, fail=fail
        )
        self._commits = Commits(
            group=settings.consumer_group,
            topics=topics,
            client_settings=client_settings,
            commit=commit,
            read_again=read_again,
            note_count=partial(self.places.note_count, is_given=True),
            on_progress=on_progress,
        )

    @property
    def topic_id(self) -> str:
        """Of the ticks topic; empty until the first assignment, and where no broker tells it."""
        return self._commits.topic_id

    @property
    def is_ready(self) -> bool:
        """Whether this worker answers all that it was given, and the next one may be restarted."""
        return self.is_restored and self._arrival.is_over

    @property
    def is_restored(self) -> bool:
        """Whether all partitions given to this worker are restored and answering."""
        return (
            self._assigned is not None
            and not self._restoring
            and self._assigned <= self._partitions.keys()
        )

    @property
    def is_restoring(self) -> bool:
        """Whether the state of a partition is on its way back."""
        return bool(self._restoring)

    async def close(self) -> None:
        """Give up what is being restored or brought along. Called at the worker's end."""
        self._settling.stop()
        for task in self._restoring.values():
            task.cancel()
        await asyncio.gather(*self._restoring.values(), return_exceptions=True)
        await self._commits.close()

    def symbols(self) -> dict[str, SymbolPipeline]:
        """Every symbol of this worker's restored partitions, by the name of its state."""
        return {
            pipeline.name: pipeline
            for partition in self.restored().values()
            for pipeline in partition.symbols.values()
        }

    def restored(self) -> dict[int, PartitionPipeline]:
        """By number, this worker's partitions that stand where it goes on."""
        return {n: item for n, item in self._partitions.items() if n not in self._restoring}

    def going(self) -> dict[int, PartitionPipeline]:
        """By number, those of them that another worker may be given when the group changes."""
        return {n: item for n, item in self.restored().items() if n in self._share.going}

    def followed_symbols(self) -> dict[str, SymbolPipeline]:
        """Every symbol that new models are for: this worker's, and those that it stands by for."""
        return {**self.standbys.symbols(), **self.symbols()}

    def report(self) -> Report:
        """What the group is told of this worker. Called in the consumer's thread too."""
        standbys = self.standbys
        return Report(
            assigned=self._assigned or frozenset(),
            ready=frozenset(self._partitions) | standbys.warm,
            following=standbys.following,
        )

    def on_assigned(
        self, partitions: Iterable[int], share: Share, *, generation: int
    ) -> dict[int, int]:
        """Take a new assignment: forget what went elsewhere, restore what came. Returns at once.

        Args:
            partitions: to answer.
            share: what the group says beside.
            generation: the number of this change of the group.

        Returns:
            By partition that nobody else can have had meanwhile, the offset to go on from.
        """
        before, self._assigned = self._assigned or frozenset(), frozenset(partitions)
        follows, self._generation = generation == self._generation + 1, generation
        kept = self._kept(before & self._assigned) if follows else {}
        self._taken_over = {
            number: replica
            for number in self._assigned
            if (replica := self._taken_over.get(number) or self.standbys.release(number))
        }
        self._share, self._asking = share, None
        self.standbys.follow(share.standby - self._assigned)
        for number in self._partitions.keys() - self._assigned:
            del self._partitions[number]
            self.places.forget(number)
        for number in self._restoring.keys() - self._assigned:
            self._restoring.pop(number).cancel()
        if new := self._assigned - self._restoring.keys() - kept.keys():
            places = asyncio.ensure_future(self._ask_places(new))
            for number in new:
                task = asyncio.create_task(self._check(number, places))
                self._restoring[number] = task
                task.add_done_callback(partial(self._checked, number))
        metrics.PARTITIONS.set(len(self._assigned))
        self._note_arrival()
        self._look_whether_settled()
        return kept

    def _kept(self, numbers: Iterable[int]) -> dict[int, int]:
        """Of partitions that this worker has had all the time, where it goes on: it need not ask.

        Without those that are being restored, or whose last answers are on their way.
        """
        restored = self.restored()
        return {
            number: restored[number].position
            for number in numbers
            if number in restored and restored[number].position == self._answered.get(number)
        }

    def bring_nothing(self) -> None:
        """Others may be given the partitions now, and bring symbols along. Returns at once."""
        self._settling.stop()

    def _note_warm(self) -> None:
        """Another partition can be taken over: look at its models, and take it if it is to come."""
        self._on_restored()
        self._note_arrival()
        coming = self._share.coming
        if coming and coming <= self.standbys.warm and self._asking is None:
            self._asking = asyncio.create_task(self._join_again())

    def _note_widened(self) -> None:
        """Ticks come in new partitions already: have them given to somebody."""
        self._asking = asyncio.create_task(self._join_again())

    def _note_arrival(self) -> None:
        standbys = self.standbys
        self._arrival.note(
            coming=self._share.coming, following=standbys.following, warm=standbys.warm
        )

    def _look_whether_settled(self) -> None:
        if self.is_restored:
            self._on_settled()

    def _checked(self, number: int, task: asyncio.Task[None]) -> None:
        if self._restoring.get(number) is task:
            del self._restoring[number]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._fail(error)
        else:
            self._on_restored()
            self._look_whether_settled()

    async def _check(self, number: int, places: Awaitable[dict[int, Place]]) -> None:
        """Make sure that the partition's state is that of the first tick not answered yet."""
        with log_fields(partition=number):
            await self._bring_back((await asyncio.shield(places))[number])

    async def _bring_back(self, place: Place) -> None:
        number = place.partition
        start = await self._ask(number, partial(self._commits.start, place))
        kept = self._partitions.get(number)
        if kept is None or kept.position < start or not self._is_answered(kept, place):
            await self._ask(number, partial(self._restore, number, start))
        elif kept.position > start:
            # The group changed before this worker could commit what it had answered.
            await self._ask(number, partial(self._commit, number, kept.position))
            self._read_again(number)

    def _is_answered(self, kept: PartitionPipeline, place: Place) -> bool:
        """Whether all ticks before a pipeline's position are answered, and are still in the log."""
        answered = max(place.start, self._answered.get(place.partition, 0))
        return kept.position <= min(answered, place.end)

    async def _ask(self, number: int, request: Callable[[], Awaitable[_T]]) -> _T:
        """Ask the broker about a partition; waits through an outage."""
        return await until_answered(
            request, what=f"partition {number}: cannot restore", logger=logger
        )

    async def _ask_places(self, numbers: Collection[int]) -> dict[int, Place]:
        """At once, for each connection takes its time."""
        return await until_answered(
            partial(self._commits.places, numbers),
            what="partitions cannot be restored",
            logger=logger,
        )

    def may_answer(self, pipeline: PartitionPipeline, batch: Batch, work: SortedRecords) -> bool:
        """Whether symbols of a batch have what they had elsewhere; if not, it comes again later."""
        return self._settling.may_answer(pipeline, batch, work)

    def _log(self, number: int) -> Log:
        return Log(
            topic=self._topics.ticks.name,
            partition=number,
            topic_id=self._commits.topic_id,
            partitions=self.places.count,
        )

    async def _committed(self, number: int) -> int:
        return (await self._commits.places([number]))[number].start

    def _new_replica(self, committed: int, of: Log) -> Replica:
        settings = self._settings
        pipeline = PartitionPipeline(
            PredictionSettings.of(settings),
            partition=of.partition,
            placement=self.places.placement(of.partitions),
        )
        return Replica(
            pipeline,
            committed,
            of=of,
            placement=self.places.placement,
            bar_s=settings.bar_seconds,
            window_bars=settings.window_bars,
        )

    async def _restore(self, number: int, committed: int) -> None:
        started = time.perf_counter()
        log = self._log(number)
        replica = self._taken_over.pop(number, None)
        if replica is None or not replica.leads_to(committed, log):
            replica = self._new_replica(committed, log)
        pipeline = await restore_partition(
            replica,
            committed,
            settings=self._settings,
            topics=self._topics,
            client_settings=self._client_settings,
            load_models=self._load_models,
            on_progress=self._on_progress,
            learn=self.places.learn,
        )
        await self.places.note_restored(pipeline, number, replica.log)
        self._partitions[number] = pipeline
        self._answered[number] = committed
        metrics.RESTORE_SECONDS.observe(time.perf_counter() - started)

    async def pipeline(self, batch: Batch) -> PartitionPipeline | None:
        """The pipeline that stands just before this batch; None when it is not to be answered.

        That is when the partition has gone, or when ticks before the batch are not answered:
        then the partition is read again. Waits while it is restored. Called by the service.
        """
        number = batch.tp.partition
        while number in self._restoring:
            await asyncio.wait([self._restoring[number]])
        if batch.is_void or number not in (self._assigned or ()):
            return None  # it is read again, or went to another worker while the batch waited
        pipeline = self._partitions.get(number)
        if pipeline is not None and batch.read_from > pipeline.position:
            if batch.read_from > await self._ask(number, partial(self._committed, number)):
                logger.warning(
                    "partition %d: a batch begins at offset %d, but the ticks from %d on are not "
                    "answered; reading them again",
                    number,
                    batch.first_offset,
                    pipeline.position,
                )
                self._read_again(number)
                return None
            pipeline = None  # what lies between is answered: the state must catch up
        if pipeline is not None and batch.first_offset > pipeline.position + GAP_OFFSETS:
            await self._ask(number, partial(self._look_for_loss, pipeline, batch))
        if pipeline is None or batch.first_offset < pipeline.position:
            # Read again from an earlier commit: the state must go back with it.
            await self._ask(number, partial(self._restore, number, batch.first_offset))
            pipeline = self._partitions[number]
            self._on_restored()
        return pipeline

    def note_answered(self, batch: Batch) -> None:
        """The broker has acknowledged all answers to a batch. Called by the service."""
        self._answered[batch.tp.partition] = batch.last_offset + 1

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

    def positions(self) -> dict[int, int | None]:
        """By partition, the offset after the last one processed; None while it is restored."""
        restored = self.restored()
        return {
            number: restored[number].position if number in restored else None
            for number in self._assigned or ()
        }

    def status(self) -> dict[str, Any]:
        """What `/status` shows of the partitions."""
        return {
            "ready": self.is_ready,
            "partitions": sorted(self._assigned or ()),
            "restoring": sorted(self._restoring),
            "standing_by": sorted(self.standbys.warm),
            "warming_up": sorted(self.standbys.following - self.standbys.warm),
        }
