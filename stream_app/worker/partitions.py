"""The partitions of one worker: which it has, and that each stands at its committed offset."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from stream_app.kafka.place import Place
from stream_app.moving.moves import PublishBars
from stream_app.moving.symbol_places import SymbolPlaces
from stream_app.ops import metrics
from stream_app.ops.log_fields import log_fields
from stream_app.prediction.pipeline import PartitionPipeline, SortedRecords
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery.keeper import Keeper
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.replica import Log, Replica
from stream_app.recovery.restore import LoadModels
from stream_app.recovery.standbys import Standbys
from stream_app.sharing.membership import Membership
from stream_app.sharing.reports import Report, Share
from stream_app.worker.commits import Commits
from stream_app.worker.consumer_actions import ConsumerActions
from stream_app.worker.ledger import Batch
from stream_app.worker.pipelines import Pipelines
from stream_app.worker.settling import Settling
from stream_app.worker.takeovers import Takeovers


class Partitions:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        access: LogAccess,
        *,
        consumer: ConsumerActions,
        load_models: LoadModels,
        have_models: Callable[[Iterable[SymbolPipeline]], bool],
        publish_bars: PublishBars,
        on_restored: Callable[[], None],
        on_settled: Callable[[], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Have no partition yet.

        Args:
            access: to the topics.
            consumer: of the ticks.
            load_models: of a symbol.
            have_models: whether symbols have models, as far as there are any.
            publish_bars: into a partition.
            on_restored: called when a partition has its state back.
            on_settled: called when all partitions of an assignment have; there may be none.
            fail: ends the process.
        """
        self._access = access
        self._on_restored = on_restored
        self._on_settled = on_settled
        self._fail = fail
        self._restoring: dict[int, asyncio.Task[None]] = {}
        self._assigned: frozenset[int] | None = None
        self._is_changing = False
        """Whether the group divides its partitions again."""
        self.standbys = Standbys(
            access,
            new_replica=self._new_replica,
            have_models=have_models,
            is_busy=self._is_busy,
            on_warm=self._note_warm,
        )
        self.keeper = Keeper(
            access,
            partitions=lambda: self.restored().keys(),
            new_replica=self._new_replica,
            is_busy=self._is_busy,
        )
        self._membership = Membership(self.standbys, join_again=consumer.join_again)
        self.places = SymbolPlaces(
            access,
            pipelines=lambda: self._pipelines.of.values(),  # noqa: PLW0108 - made below
            load_models=load_models,
            publish_bars=publish_bars,
            on_brought=on_restored,
            on_widened=self._membership.ask,  # ticks come there already: have them given
        )
        self._commits = Commits(
            access, consumer=consumer, note_count=partial(self.places.note_count, is_given=True)
        )
        self._takeovers = Takeovers(
            access, commits=self._commits, places=self.places, load_models=load_models
        )
        self._pipelines = Pipelines(self._takeovers, consumer=consumer, on_restored=on_restored)
        self._settling = Settling(
            self.places,
            log_of=self._takeovers.log_of,
            hold=consumer.hold,
            release=consumer.release,
            fail=fail,
        )

    @property
    def topic_id(self) -> str:
        """Of the ticks topic; empty until the first assignment, and on brokers without topic
        ids.
        """
        return self._commits.topic_id

    @property
    def is_ready(self) -> bool:
        """Whether this worker answers all that it was given, and the next one may be restarted."""
        return self.is_restored and self._membership.has_arrived

    @property
    def is_restored(self) -> bool:
        """Whether all partitions given to this worker are restored and answering."""
        return (
            self._assigned is not None
            and not self._restoring
            and self._assigned <= self._pipelines.of.keys()
        )

    @property
    def is_starting(self) -> bool:
        """Whether symbols that come are those of a start, not taken over from another worker."""
        return self._membership.is_starting

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
        await self._access.readers.close()

    def symbols(self) -> dict[str, SymbolPipeline]:
        """Every symbol of this worker's restored partitions, by the name of its state."""
        return {
            pipeline.name: pipeline
            for partition in self.restored().values()
            for pipeline in partition.symbols.values()
        }

    def restored(self) -> dict[int, PartitionPipeline]:
        """By number, this worker's partitions that are at the position where it continues."""
        return {n: item for n, item in self._pipelines.of.items() if n not in self._restoring}

    def going(self) -> dict[int, PartitionPipeline]:
        """By number, those of them that another worker may be given when the group changes."""
        return {n: item for n, item in self.restored().items() if n in self._membership.share.going}

    def followed_symbols(self) -> dict[str, SymbolPipeline]:
        """Every symbol that new models are for: this worker's, and those that it stands by for."""
        return {**self.standbys.symbols(), **self.symbols()}

    def report(self) -> Report:
        """This worker's metadata for the group."""
        standbys = self.standbys
        return Report(
            assigned=self._assigned or frozenset(),
            ready=frozenset(self._pipelines.of) | standbys.warm,
            following=standbys.following,
        )

    def on_assigned(
        self, partitions: Iterable[int], share: Share, *, generation: int
    ) -> dict[int, int]:
        """Take a new assignment: forget what went elsewhere, restore what came. Returns at once.

        Args:
            partitions: to answer.
            share: the rest of the group's assignment.
            generation: the number of this change of the group.

        Returns:
            By partition that no other worker can have owned meanwhile, the offset to continue from.
        """
        # A batch that was in hand may have begun to bring symbols along since `on_revoked`.
        self.bring_nothing()
        before, self._assigned = self._assigned or frozenset(), frozenset(partitions)
        follows = self._membership.take(share, generation=generation)
        stayed = (before & self._assigned) - self._restoring.keys()
        kept = self._pipelines.positions_kept(stayed) if follows else {}
        known = self._pipelines.known
        self._pipelines.known = {
            number: replica
            for number in self._assigned
            if (replica := known.get(number) or self.standbys.release(number))
        }
        self.standbys.follow(share.standby - self._assigned)
        for number in self._pipelines.of.keys() - self._assigned:
            del self._pipelines.of[number]
            self.places.forget(number)
        for number in self._restoring.keys() - self._assigned:
            self._restoring.pop(number).cancel()
        if new := self._assigned - self._restoring.keys() - kept.keys():
            places = asyncio.ensure_future(self._takeovers.places(new))
            checks = {number: asyncio.create_task(self._check(number, places)) for number in new}
            for number, task in checks.items():
                task.add_done_callback(partial(self._checked, number))
            self._restoring |= checks
            nobody_waits = asyncio.gather(*checks.values(), return_exceptions=True)
            nobody_waits.add_done_callback(lambda _: places.cancel())
        metrics.PARTITIONS.set(len(self._assigned))
        self._is_changing = False
        self._membership.note_warm()
        self._look_whether_settled()
        return kept

    def on_revoked(self) -> None:
        """The group changes: nothing may be in its way. Returns at once."""
        self._is_changing = True
        self.bring_nothing()

    def bring_nothing(self) -> None:
        """Others may be given the partitions now, and bring symbols along. Returns at once."""
        self._settling.stop()

    def _note_warm(self) -> None:
        """Another partition can be taken over: check its models, and take it if it is due to move
        here.
        """
        self._on_restored()
        self._membership.note_warm()

    def _is_busy(self) -> bool:
        """Whether ticks wait for a change of the group or a restore."""
        return self._is_changing or self.is_restoring

    def _new_replica(self, committed: int, of: Log) -> Replica:
        return self._takeovers.new_replica(committed, of)

    def _look_whether_settled(self) -> None:
        if self.is_restored:
            self._membership.is_starting = False
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
            await self._pipelines.bring_back((await asyncio.shield(places))[number])

    def may_answer(self, pipeline: PartitionPipeline, batch: Batch, work: SortedRecords) -> bool:
        """Whether symbols of a batch have what they had elsewhere; if not, it comes again later."""
        return self._settling.may_answer(pipeline, batch, work)

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
        return await self._pipelines.just_before(batch)

    def note_answered(self, batch: Batch) -> None:
        """The broker has acknowledged all answers to a batch. Called by the service."""
        self._pipelines.note_answered(batch)

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
