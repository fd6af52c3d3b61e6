"""The pipelines of a worker's partitions: each stands just after the last tick that it answered.

Where it does not stand at what is to be answered next, the commit decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from stream_app.kafka.place import Place
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.recovery.replica import Replica
from stream_app.worker.consumer_actions import ConsumerActions
from stream_app.worker.ledger import Batch
from stream_app.worker.takeovers import Takeovers

logger = logging.getLogger(__name__)

GAP_OFFSETS: Final = 100
"""A jump by more than a transaction's control records is looked into."""


class Pipelines:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        takeovers: Takeovers,
        *,
        consumer: ConsumerActions,
        on_restored: Callable[[], None],
    ) -> None:
        """Have none yet.

        Args:
            takeovers: bring partitions to an offset.
            consumer: of the ticks.
            on_restored: called when a partition was restored because of a batch.
        """
        self._takeovers = takeovers
        self._consumer = consumer
        self._on_restored = on_restored
        self.of: dict[int, PartitionPipeline] = {}
        """By partition."""
        self.known: dict[int, Replica] = {}
        """Of partitions that are to be restored, what was known of them before."""
        self._answered: dict[int, int] = {}
        """By partition, the offset after the last tick whose answer the broker has acknowledged."""

    def note_answered(self, batch: Batch) -> None:
        """The broker has acknowledged all answers to a batch."""
        self._answered[batch.tp.partition] = batch.last_offset + 1

    def positions_kept(self, numbers: Iterable[int]) -> dict[int, int]:
        """Of partitions that this worker has had all the time, where it goes on: it need not ask.

        Without those that have no pipeline, or whose last answers are on their way.
        """
        return {
            number: self.of[number].position
            for number in numbers
            if number in self.of and self.of[number].position == self._answered.get(number)
        }

    async def bring_back(self, place: Place) -> None:
        """Make sure that a partition's state is that of the first tick not answered yet.

        Waits on the broker, also through an outage.
        """
        number = place.partition
        start = await self._takeovers.start(place)
        kept = self.of.get(number)
        if kept is None or kept.position < start or not self._is_answered(kept, place):
            self._keep(number, await self._restored(number, start), start)
        elif kept.position > start:
            # The group changed before this worker could commit what it had answered.
            commit = partial(self._consumer.commit, number, kept.position)
            await self._takeovers.ask(number, commit)
            self._consumer.read_again(number)

    def _is_answered(self, kept: PartitionPipeline, place: Place) -> bool:
        """Whether all ticks before a pipeline's position are answered, and are still in the log."""
        answered = max(place.start, self._answered.get(place.partition, 0))
        return kept.position <= min(answered, place.end)

    async def _restored(self, number: int, committed: int) -> PartitionPipeline:
        return await self._takeovers.restore(
            number, committed, lambda: self.known.pop(number, None)
        )

    def _keep(self, number: int, pipeline: PartitionPipeline, committed: int) -> None:
        self.of[number], self._answered[number] = pipeline, committed

    async def just_before(self, batch: Batch) -> PartitionPipeline | None:
        """The pipeline that stands just before a batch; None when it is not to be answered.

        That is when ticks before the batch are not answered: then the partition is read again.
        And when the partition has gone meanwhile, or was given to this worker again. Waits on the
        broker where it has to be asked.
        """
        number = batch.tp.partition
        pipeline = self.of.get(number)
        if pipeline is not None and batch.read_from > pipeline.position:
            if batch.read_from > await self._takeovers.committed(number):
                logger.warning(
                    "partition %d: a batch begins at offset %d, but the ticks from %d on are not "
                    "answered; reading them again",
                    number,
                    batch.first_offset,
                    pipeline.position,
                )
                self._consumer.read_again(number)
                return None
            pipeline = None  # what lies between is answered: the state must catch up
        if pipeline is not None and batch.first_offset > pipeline.position + GAP_OFFSETS:
            await self._takeovers.look_for_loss(pipeline, batch)
        if pipeline is None or batch.first_offset < pipeline.position:
            # Read again from an earlier commit: the state must go back with it.
            pipeline = await self._restored(number, batch.first_offset)
            if batch.is_void:
                return None
            self._keep(number, pipeline, batch.first_offset)
            self._on_restored()
        return None if batch.is_void else pipeline
