"""Waits for what a partition's next symbols have elsewhere, while other partitions are answered.

A batch with a symbol that may have come from another partition is given back, and its partition is
held: nothing of it is read until the symbol's history is here. Then it is read again from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from stream_app.kafka.retries import until_answered
from stream_app.moving.symbol_places import SymbolPlaces
from stream_app.ops.log_fields import log_fields
from stream_app.prediction.pipeline import PartitionPipeline, SortedRecords
from stream_app.recovery.replica import Log
from stream_app.worker.ledger import Batch

logger = logging.getLogger(__name__)


class Settling:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        places: SymbolPlaces,
        *,
        log_of: Callable[[int], Log],
        hold: Callable[[Batch], None],
        release: Callable[[int], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Hold nothing yet.

        Args:
            places: where symbols belong, and what they bring along.
            log_of: from a partition to its log as it is now.
            hold: gives a batch back, and has its partition read no further.
            release: has a partition read again from there.
            fail: ends the process.
        """
        self._places = places
        self._log_of = log_of
        self._hold = hold
        self._release = release
        self._fail = fail
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def may_answer(self, pipeline: PartitionPipeline, batch: Batch, work: SortedRecords) -> bool:
        """Whether all symbols of a batch have their history; otherwise it comes again. At once.

        Args:
            pipeline: of the partition, just before the batch.
            batch: not answered yet.
            work: its records.
        """
        number = batch.tp.partition
        lacking = self._places.install(pipeline, work, number)
        if lacking is None:
            return True
        self._hold(batch)
        bring = partial(self._places.bring, pipeline, work, lacking, self._log_of, number)
        what = f"partition {number}: cannot bring symbols along"

        async def settle() -> None:
            with log_fields(partition=number):
                await until_answered(bring, what=what, logger=logger)

        task = self._tasks[number] = asyncio.create_task(settle())
        task.add_done_callback(partial(self._settled, number))
        return False

    def _settled(self, number: int, task: asyncio.Task[None]) -> None:
        if self._tasks.get(number) is task:
            del self._tasks[number]
            self._release(number)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def stop(self) -> None:
        """Bring nothing any more: the partitions may go to another worker, which begins again."""
        for task in self._tasks.values():
            task.cancel()
