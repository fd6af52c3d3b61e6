"""Partitions that other workers answer and this one follows, so as to take them over at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from aiokafka.errors import KafkaError

from stream_app.kafka.place import Place
from stream_app.kafka.retries import Outage
from stream_app.ops import metrics
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.pauses import Rests
from stream_app.recovery.replica import Log, Replica

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
"""Between two polls of the bars and commits of what is followed."""


class Standbys:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        access: LogAccess,
        *,
        new_replica: Callable[[int, Log], Replica],
        have_models: Callable[[Iterable[SymbolPipeline]], bool],
        is_busy: Callable[[], bool],
        on_warm: Callable[[], None],
    ) -> None:
        """Follow nothing yet.

        Args:
            access: to the topics.
            new_replica: makes an empty one, at a commit, of a log.
            have_models: whether symbols have models, as far as there are any; has missing ones
                brought.
            is_busy: whether ticks wait for a change of the group or a restore in this worker.
            on_warm: called when another one has become warm.
        """
        self._access = access
        self._new_replica = new_replica
        self._have_models = have_models
        self._rests = Rests(is_busy)
        self._on_warm = on_warm
        self._replicas: dict[int, Replica] = {}
        self.following: frozenset[int] = frozenset()
        self.warm: frozenset[int] = frozenset()
        """Those of them that can be taken over at once."""
        self._lacking: set[int] = set()
        """Those of which the log says that they wait for their models."""
        self._has_some = asyncio.Event()

    def symbols(self) -> dict[str, SymbolPipeline]:
        """Every symbol of those whose bars are read, by the name of its state."""
        return {
            pipeline.name: pipeline
            for replica in self._replicas.values()
            if replica.is_settled
            for pipeline in replica.pipeline.symbols.values()
        }

    def follow(self, partitions: Iterable[int]) -> None:
        """Follow these partitions and no others. Returns at once."""
        self.following = frozenset(partitions)
        self._lacking &= self.following
        for number in self._replicas.keys() - self.following:
            del self._replicas[number]
        self._note_warm()
        if self.following:
            self._has_some.set()
        else:
            self._has_some.clear()

    def release(self, partition: int) -> Replica | None:
        """Give up a partition that this worker answers from now on, with what is known of it."""
        replica = self._replicas.pop(partition, None)
        self._note_warm()
        return replica

    def _note_warm(self) -> None:
        self.warm = frozenset(n for n, replica in self._replicas.items() if replica.is_warm)
        metrics.STANDBY_PARTITIONS.set(len(self.warm))

    async def run(self) -> None:
        """Follow what there is to follow. Never ends by itself; waits through an outage.

        Raises:
            BrokerError: a refusal, such as a right that is missing.
        """
        outage = Outage("what this worker stands by for", logger)
        while True:
            await self._has_some.wait()
            try:
                await self._follow_all(outage)
            except (KafkaError, OSError) as error:
                await outage.wait(error)

    async def _follow_all(self, outage: Outage) -> None:
        """Look again and again, over one connection, while there is something to follow."""
        access, bars = self._access, self._access.topics.bars.name
        async with access.group() as view, access.readers.one() as consumer:
            while self.following:
                # The commits first: all bars that were made before them are there then.
                topic = await view.known_topic()
                places = await view.places(topic, self.following)
                for number, place in sorted(places.items()):
                    replica = self._replica_of(place, topic.partitions)
                    if replica is not None:
                        pause = partial(self._rests.rest, partial(self._follows, number, replica))
                        async with replica.lock:
                            self._rests.begin()
                            await pause()
                            await replica.read_on(consumer, bars, pause)
                            if self._follows(number, replica):
                                await replica.settle(place.start, pause)
                        self._note_settled(number, replica)
                outage.is_over()
                await access.readers.prepare()
                await asyncio.sleep(LOOK_EVERY_S)

    def _follows(self, number: int, replica: Replica) -> bool:
        return self._replicas.get(number) is replica

    def _replica_of(self, place: Place, partitions: int) -> Replica | None:
        """The replica to continue with; None where the partition is not to be followed now."""
        number = place.partition
        if number not in self.following or place.problem is not None:
            return None  # who answers the partition says what is wrong
        log = Log.at(place, partitions)
        replica = self._replicas.get(number)
        if replica is None or not replica.leads_to(place.start, log):
            replica = self._replicas[number] = self._new_replica(place.start, log)
            self._note_warm()
        return replica

    def _note_settled(self, number: int, replica: Replica) -> None:
        """The bars of a partition are read: whether it can be taken over depends on its models.

        Without them this worker would answer worse than the one that has it, as while the object
        store is away and this disk is empty.
        """
        if not self._follows(number, replica) or not replica.is_settled:
            return
        symbols = replica.pipeline.symbols
        replica.has_models = self._have_models(symbols.values())
        was_warm = number in self.warm
        self._note_warm()
        if not replica.has_models and number not in self._lacking:
            self._lacking.add(number)
            logger.info("partition %d: its bars are here, it waits for its models", number)
        elif replica.has_models and not was_warm:
            self._lacking.discard(number)
            logger.info("partition %d: stands by with %d symbols", number, len(symbols))
            self._on_warm()
