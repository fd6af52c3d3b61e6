"""The process pool for training: spawned, capped to one thread, niced, recycled, killable."""

from __future__ import annotations

import asyncio
import multiprocessing
from typing import Final

from pebble import ProcessFuture, ProcessPool

from stream_app.training import TrainedModel, TrainingJob, run_job
from stream_app.training_process import initialise_process, ready

JOBS_PER_PROCESS: Final = 24
"""Then the process is replaced: LightGBM keeps its memory (LightGBM#4239)."""


class TrainingPool:
    """Runs training jobs beside the event loop."""

    def __init__(self, processes: int) -> None:
        self._pool = ProcessPool(
            max_workers=processes,
            max_tasks=JOBS_PER_PROCESS,
            # LightGBM and torch hang in forked children.
            context=multiprocessing.get_context("spawn"),
            initializer=initialise_process,
        )
        self._processes = processes

    def warm_up(self) -> None:
        """Start the processes and their imports now instead of in the first retrain."""
        for _ in range(self._processes):
            self._pool.schedule(ready)

    async def run(self, job: TrainingJob) -> TrainedModel:
        """Run one job; other tasks go on.

        When the waiting task is cancelled, as by a deadline, the job's process is killed and
        replaced.

        Raises:
            TrainingError: the model cannot be trained on this data.
            ProcessExpired: the process was killed from outside or died.
        """
        future: ProcessFuture[TrainedModel] = self._pool.schedule(run_job, args=[job])
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """End the pool and its processes at once, whatever they are doing. Blocks briefly."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


