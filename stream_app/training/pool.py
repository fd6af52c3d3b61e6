"""The process pool for training: spawned, capped to one thread, ranked, recycled, killable."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext
from typing import Any, Final, Self, TypeVar

from pebble import ProcessFuture, ProcessPool

from stream_app.models.catalog import CATALOG
from stream_app.ops.metrics import POOL_RESTARTS
from stream_app.training.gate import Verdict
from stream_app.training.gate_job import GateJob, run_gate
from stream_app.training.job import TrainedModel, TrainingJob, run_job
from stream_app.training.niceness import TOO_OFTEN_S, set_niceness
from stream_app.training.process import TrainingProcess, start_process

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_J = TypeVar("_J")

JOBS_PER_PROCESS: Final = 24
"""After so many jobs a process is replaced, because LightGBM keeps its memory (LightGBM#4239)."""
LOOK_EVERY_S: Final = 1.0
"""How often a waiting job checks whether the pool still works."""
STARTS: Final = 3
"""How often a job has the pool started again before it fails: processes may die at each start."""
RANKS: Final = 3
"""How often a process is given a priority before the next look has to."""


def longest_first(jobs: Iterable[TrainingJob]) -> list[TrainingJob]:
    """The order in which two processes finish soonest.

    The LSTM takes as long as the other three together. It starts first and keeps a process busy.
    """
    return sorted(jobs, key=lambda job: CATALOG[job.model].training_rank)


class _Spawning(SpawnContext):
    """Starts processes, and counts those that take the place of another.

    pebble says nothing of them: a process that dies between two jobs is replaced in silence.
    """

    def __init__(self, processes: int) -> None:
        self._first = processes
        self._made: list[TrainingProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> TrainingProcess:  # type: ignore[override] # noqa: N802 - so pebble calls it
        """Make one. Called in pebble's thread."""
        if self._first:
            self._first -= 1
        else:
            POOL_RESTARTS.inc()
        process = TrainingProcess(*args, **kwargs)
        self._made = [known for known in self._made if known.is_alive()] + [process]
        return process

    def pids(self) -> list[int]:
        """Of the processes that live. Called in any thread."""
        return [process.pid for process in self._made if process.is_alive() and process.pid]


class TrainingPool:
    """Runs training jobs outside the event loop."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._context = _Spawning(processes)
        self._pool = self._made()
        self._next_job = asyncio.Lock()
        self._told = False
        """That the system lets no process have more of the cores."""
        self._judgements = 0
        """That wait for a process. They go first, for theirs are the symbols that are all but done.
        """
        self._none_waits = asyncio.Event()
        self._none_waits.set()

    def _made(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._processes,
            max_tasks=2 * JOBS_PER_PROCESS,  # before each job a question, see `run`
            # LightGBM and torch hang in forked children.
            context=self._context,
            initializer=start_process,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def warm_up(self) -> Future[int]:
        """Start the processes and their imports now instead of in the first retrain.

        Returns at once. The future is done when a process is ready.
        """
        return [self._pool.schedule(os.getpid) for _ in range(self._processes)][-1]

    async def prioritise(self, niceness: int) -> None:
        """Make the processes so much nicer than this one, those too that were started since.

        Asked for every second or so. Takes microseconds, or where the kernel wants a pause between
        two processes, that pause.
        """
        ranked = [await self._ranked(pid, niceness) for pid in self._context.pids()]
        if not all(ranked) and not self._told:
            self._told = True
            logger.warning(
                "Training is late, but this system does not let it have more of the cores: it may "
                "not lower a nice value. Allow it (RLIMIT_NICE, `ulimit -e 20`), or use fewer bars"
            )

    async def _ranked(self, pid: int, niceness: int) -> bool:
        for _ in range(RANKS):
            with contextlib.suppress(ProcessLookupError, BlockingIOError):
                return set_niceness(pid, niceness)
            await asyncio.sleep(TOO_OFTEN_S)
        return True  # it is gone, or the next call finds it

    async def run(self, job: TrainingJob, begun: Callable[[], None] = lambda: None) -> TrainedModel:
        """Run one job. Does not block the event loop.

        When the waiting task is cancelled, for example by a deadline, the job's process is killed
        and replaced.

        Args:
            job: what to train.
            begun: called when a process takes the job. A process that replaces another first
                imports the trainers, which takes seconds, and minutes on a busy machine.

        Raises:
            TrainingError: no model can be trained on this data.
            ProcessExpired: the process was killed from outside or died.
        """

        async def place() -> ProcessFuture[TrainedModel]:
            while True:
                await self._none_waits.wait()
                async with self._next_job:
                    if not self._judgements:
                        return await self._placed(run_job, job)

        return await self._carried_out(place, begun)

    async def judge(self, job: GateJob) -> Verdict:
        """Judge a challenger, as `run` runs a job, but ahead of the jobs that wait.

        Raises:
            ArtifactError: an artifact of the challenger cannot be loaded.
            ProcessExpired: the process was killed from outside or died.
        """

        async def place() -> ProcessFuture[Verdict]:
            self._judgements += 1
            self._none_waits.clear()
            try:
                async with self._next_job:
                    return await self._placed(run_gate, job)
            finally:
                self._judgements -= 1
                if not self._judgements:
                    self._none_waits.set()

        return await self._carried_out(place, lambda: None)

    async def _carried_out(
        self, place: Callable[[], Awaitable[ProcessFuture[_T]]], begun: Callable[[], None]
    ) -> _T:
        """Place a job and wait for what it gives.

        If the pool breaks before a process has taken the job, it is placed again: pebble says
        BrokenProcessPool only where no job was running.
        """
        for last in (False,) * (STARTS - 1) + (True,):
            future = await place()
            begun()
            try:
                return await self._result(future)
            except BrokenProcessPool:
                if last:
                    raise
        raise AssertionError("the last start returns or raises")

    async def _placed(
        self, work: Callable[[Any], _T], job: TrainingJob | GateJob
    ) -> ProcessFuture[_T]:
        """Give a job to a process that is free now; one at a time.

        pebble sends a job to the processes at once. If it is cancelled before a process takes it,
        the process that takes it later is killed. So a job waits here, where cancelling it costs
        nothing, until a process is free to answer a question.

        pebble works no more once a process has died that had no job, if no other had one either:
        its own error is then the answer, or none ever comes. So such a pool is started again.
        """
        for last in (False,) * (STARTS - 1) + (True,):
            try:
                await self._done(self._pool.schedule(os.getpid))
                future: ProcessFuture[_T] = self._pool.schedule(work, args=[job])
            except (BrokenProcessPool, RuntimeError):
                if last:
                    raise
                logger.warning(
                    "A training process died while it had no job; starting the processes again"
                )
                broken, self._pool = self._pool, self._made()
                await asyncio.to_thread(broken.join)
            else:
                return future
        raise AssertionError("the last start raises or returns")

    async def _result(self, future: Future[_T]) -> _T:
        """What a job gives. If the waiting task is cancelled, the job is."""
        try:
            return await self._done(future)
        except asyncio.CancelledError:
            future.cancel()
            raise

    async def _done(self, future: Future[_T]) -> _T:
        """The result of a future, which keeps running if the waiting task is cancelled.

        Raises:
            BrokenProcessPool: the pool works no more and has not said so to the future.
        """
        pool, waiting = self._pool, asyncio.wrap_future(future)
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        while not waiting.done():
            await asyncio.wait([waiting], timeout=LOOK_EVERY_S)
            if not waiting.done() and not pool.active:
                raise BrokenProcessPool("the training processes died")
        return waiting.result()

    def run_all(self, jobs: Sequence[TrainingJob]) -> Iterator[TrainedModel]:
        """Run jobs and yield each model when it is done. Blocks; for use without an event loop.

        Raises:
            TrainingError: as `run`.
        """
        for _, model in self.run_numbered(longest_first(jobs)):
            yield model

    def run_numbered(self, jobs: Sequence[TrainingJob]) -> Iterator[tuple[int, TrainedModel]]:
        """Run jobs and give each model with its job's position, as it is done. Blocks.

        Raises:
            TrainingError: as `run`.
        """
        return self._as_done(run_job, jobs)

    def judge_numbered(self, jobs: Sequence[GateJob]) -> Iterator[tuple[int, Verdict]]:
        """Judge challengers and yield each verdict with its job's position, as it arrives. Blocks.

        Raises:
            ArtifactError: as `judge`.
        """
        return self._as_done(run_gate, jobs)

    def _as_done(self, run: Callable[[_J], _T], jobs: Sequence[_J]) -> Iterator[tuple[int, _T]]:
        waiting: dict[Future[_T], int] = {
            self._pool.schedule(run, args=[job]): number for number, job in enumerate(jobs)
        }
        for future in as_completed(waiting):
            yield waiting[future], future.result()

    def close(self) -> None:
        """End the pool and its processes at once, whatever they do. Blocks for a moment."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
