"""A symbol's turn in a cycle: train its four models, then promote them together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from pebble import ProcessExpired

from stream_app.bars.features import BarColumns
from stream_app.clock import Clock
from stream_app.errors import ArtifactError
from stream_app.models.catalog import CATALOG, LSTM
from stream_app.models.lstm import LSTMMember
from stream_app.models.lstm_weights import Weights, read_weights
from stream_app.models.model_set import ModelSet
from stream_app.registry.versions import Versions
from stream_app.training.counts import TrainingOutcome, count_training
from stream_app.training.deadline import Deadline
from stream_app.training.events import Outcome, failed, trained_outcome
from stream_app.training.gate import Verdict
from stream_app.training.gate_job import GateJob, StandingChampion
from stream_app.training.job import TrainedModel, TrainingJob
from stream_app.training.pool import longest_first
from stream_app.training.process import ended_by
from stream_app.training.promotion import Champions, Promotion
from stream_app.training.settings import RetrainSettings

logger = logging.getLogger(__name__)

RunJob = Callable[[TrainingJob, Callable[[], None]], Coroutine[Any, Any, TrainedModel]]
"""Runs a job; calls its second argument when the job begins in a process."""
Judge = Callable[[GateJob], Coroutine[Any, Any, Verdict]]
"""Has the gate judge a challenger."""


class SymbolTrainer:
    """Trains symbols in the pool. Lives in the event loop."""

    def __init__(
        self,
        *,
        settings: RetrainSettings,
        versions: Versions,
        run_job: RunJob,
        judge: Judge,
        champions: Champions,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._versions = versions
        self._run_job = run_job
        self._judge = judge
        self._promotion = Promotion(
            versions=versions,
            champions=champions,
            clock=clock,
            is_warm_start=settings.lstm_warm_start,
        )
        self._clock = clock
        self._jobs: set[asyncio.Task[Any]] = set()
        """Given to the pool and not done."""

    async def free_process(self) -> None:
        """Wait until a job that is given to the pool now begins at once."""
        while len(self._jobs) >= self._settings.processes:
            await asyncio.wait(self._jobs, return_when=asyncio.FIRST_COMPLETED)

    async def turn(
        self,
        symbol: str,
        bars: BarColumns,
        models: ModelSet,
        given: asyncio.Event,
        made: Callable[[], None],
    ) -> Outcome:
        """Train the four models and promote them, or say why not. Never raises.

        The gate comes before the registry: a version that it refuses is not written.

        The deadline counts from the moment when its first job begins in a process. Until then the
        turn waits for a process for as long again: one that starts on a busy machine is slow, and
        must not count as a job that hangs.

        Args:
            symbol: whose models.
            bars: its window.
            models: that serve it now.
            given: set once all its jobs are given to the pool.
            made: called once the new version only has to be named champion: that waits for the
                broker.
        """
        deadline = Deadline(self._settings.deadline_s)
        try:
            async with deadline.limit:
                trained = await self._train(symbol, bars, models, given, deadline)
                verdict = await self._asked(symbol, bars, models, trained)
        except TimeoutError:
            return failed(f"{symbol}: {deadline.missed()}", bars, timed_out=True)
        except Exception as error:  # noqa: BLE001 - whatever a job dies of, the champions serve on
            return failed(f"{symbol}: {_cause(error)}", bars)
        if verdict.check:
            return trained_outcome(trained, bars, verdict)
        try:
            new, serves = await self._promotion.promote(
                symbol, bars, models, trained, verdict, made=made
            )
        except ArtifactError as error:
            return trained_outcome(trained, bars, verdict, failure=f"{symbol}: {error}")
        except Exception as error:  # noqa: BLE001 - such as a topic that may not be written
            return trained_outcome(trained, bars, verdict, failure=f"{symbol}: {_cause(error)}")
        version, held = (new, None) if serves else (None, new)
        return trained_outcome(trained, bars, verdict, version=version, held=held)

    async def _train(
        self,
        symbol: str,
        bars: BarColumns,
        models: ModelSet,
        given: asyncio.Event,
        deadline: Deadline,
    ) -> dict[str, TrainedModel]:
        """All four models, each in a job of its own. The first job that fails ends the others."""
        for spec in CATALOG.values():
            logger.info("Training %s model... (%s)", spec.title, symbol)
        jobs = [
            TrainingJob(symbol=symbol, model=name, bars=bars, settings=self._settings.models)
            for name in CATALOG
        ]
        async with asyncio.TaskGroup() as group:
            tasks = {
                job.model: group.create_task(self._run(job, models, deadline))
                for job in longest_first(jobs)
            }
            self._jobs.update(tasks.values())
            for task in tasks.values():
                task.add_done_callback(self._jobs.discard)
            given.set()
        return {name: tasks[name].result() for name in CATALOG}

    async def _run(self, job: TrainingJob, models: ModelSet, deadline: Deadline) -> TrainedModel:
        if job.model == LSTM and self._settings.lstm_warm_start:
            job = replace(job, start=await self._weights(job.symbol, models))
        began_s: list[float] = []

        def begins() -> None:
            began_s.append(self._clock.monotonic())
            deadline.job_begins()

        outcome: TrainingOutcome = "failed"
        try:
            trained = await self._run_job(job, begins)
            outcome = "succeeded"
        except asyncio.CancelledError:
            outcome = "timed_out" if deadline.limit.expired() else "cancelled"
            raise
        except Exception as error:
            if job.model not in str(error):
                error.add_note(job.model)
            raise
        finally:
            if began_s:
                count_training(job.model, outcome, self._clock.monotonic() - began_s[0])
        return trained

    async def _weights(self, symbol: str, models: ModelSet) -> Weights | None:
        """Of the LSTM that serves; None where there are none to start from."""
        if not isinstance(models.members.get(LSTM), LSTMMember):
            logger.info("%s: no LSTM serves yet; it is trained from scratch", symbol)
            return None
        try:
            artifact = await self._versions.artifact(symbol, models.version, LSTM)
            return await asyncio.to_thread(read_weights, artifact, self._settings.models)
        except ArtifactError as error:
            logger.warning("%s: %s; the LSTM is trained from scratch", symbol, error)
            return None

    async def _asked(
        self, symbol: str, bars: BarColumns, models: ModelSet, trained: Mapping[str, TrainedModel]
    ) -> Verdict:
        """What the gate says of the new models."""
        job = GateJob(
            symbol=symbol,
            bars=bars,
            settings=self._settings.models,
            weights=self._settings.weights,
            artifacts={name: model.artifact for name, model in trained.items()},
            data_to=min(model.data_to for model in trained.values()),
            champion=await self._champion(symbol, models),
        )
        task = asyncio.ensure_future(self._judge(job))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return await task

    async def _champion(self, symbol: str, models: ModelSet) -> StandingChampion | None:
        """What serves, as artifacts; None where there is nothing to compare with."""
        if not models.is_trained:
            return None
        try:
            artifacts = {
                name: await self._versions.artifact(symbol, models.version, name)
                for name in CATALOG
            }
        except ArtifactError as error:
            logger.warning("%s: not compared with the champion: %s", symbol, error)
            return None
        return StandingChampion(artifacts=artifacts, trained_to_ts=models.trained_to_ts)


def _cause(error: Exception) -> str:
    """What it is, of which model, and of a process that died how it ended."""
    cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
    about = list(getattr(cause, "__notes__", []))
    if isinstance(cause, ProcessExpired):
        about.append(ended_by(cause.exitcode))
    said = ": ".join(filter(None, [type(cause).__name__, str(cause)]))
    return f"{said} ({', '.join(about)})" if about else said
