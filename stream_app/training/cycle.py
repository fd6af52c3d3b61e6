"""The retrain cycle: for whom, in which time, and who serves afterwards.

A cycle is all or nothing for each symbol: four new models take over together, by one assignment,
or the old ones serve on. Predictions never wait for it: the jobs run in the pool, the registry's
disk work in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from stream_app.bars.features import BarColumns
from stream_app.clock import Clock
from stream_app.errors import ArtifactError
from stream_app.messages.schemas import RetrainEvent, RetrainTrigger
from stream_app.models.lstm_weights import Weights, read_weights
from stream_app.ops.metrics import RETRAIN_SECONDS, RETRAINS
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.manifest import TrainedSet
from stream_app.registry.store import Registry
from stream_app.settings import MODEL_NAMES
from stream_app.training.events import Outcome, ended_event, outcome_of, started_event
from stream_app.training.job import TrainedModel, TrainingJob
from stream_app.training.pool import longest_first
from stream_app.training.schedule import RetrainSchedule
from stream_app.training.settings import RetrainSettings

logger = logging.getLogger(__name__)

TITLES: Final = {
    "kalman": "Kalman Filter",
    "random_forest": "Random Forest",
    "lightgbm": "LightGBM",
    "lstm": "LSTM",
}
KEPT_EVENTS: Final = 1000
LAST_WORD_S: Final = 2.0
"""How long the end of a cycle that the worker's end cuts off may take to be told."""


RunJob = Callable[[TrainingJob], Coroutine[Any, Any, TrainedModel]]


class Retrainer:
    """Runs one cycle at a time, when the schedule says so."""

    def __init__(
        self,
        *,
        settings: RetrainSettings,
        registry: Registry,
        run_job: RunJob,
        symbols: Callable[[], Mapping[str, SymbolPipeline]],
        publish: Callable[[RetrainEvent], Awaitable[None]],
        clock: Clock,
        worker: str,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._run_job = run_job
        self._symbols = symbols
        self._publish = publish
        self._clock = clock
        self._worker = worker
        self._schedule = RetrainSchedule(settings.schedule, clock)
        self._cycle: asyncio.Task[None] | None = None
        self._stopped = False
        self.training_history: deque[RetrainEvent] = deque(maxlen=KEPT_EVENTS)
        """The ended cycles of this worker, oldest first."""

    def due(self) -> tuple[RetrainTrigger, list[SymbolPipeline]] | None:
        """Whether a cycle should start now, why, and for which symbols. Returns at once."""
        return self._schedule.due(self._symbols())

    @property
    def is_running(self) -> bool:
        """Whether a cycle is under way."""
        return self._cycle is not None and not self._cycle.done()

    def tick(self) -> None:
        """Start a cycle when one is due and none is running. Returns at once; the timer's call."""
        if self._stopped or self.is_running:
            return
        due = self.due()
        if due is not None:
            self._cycle = asyncio.create_task(self.run_cycle(*due))

    async def stop(self) -> None:
        """Begin no other cycle; end a running one and tell so. Its symbols keep their models."""
        self._stopped = True
        if self._cycle is not None:
            self._cycle.cancel()
            await asyncio.gather(self._cycle, return_exceptions=True)

    async def run_cycle(self, trigger: RetrainTrigger, pipelines: Sequence[SymbolPipeline]) -> None:
        """Retrain the symbols, promote each complete set, publish what happened."""
        began = self._clock.monotonic()
        snapshots = {item.symbol: item.window.columns() for item in pipelines}
        started = started_event(
            trigger,
            snapshots,
            at=self._clock.now(),
            target_s=self._settings.target_s,
            worker=self._worker,
        )
        self._schedule.begun(trigger, {name: len(bars) for name, bars in snapshots.items()})
        logger.info("Starting model retraining (all 4 models including LSTM)...")
        await self._tell(started)
        deadline = asyncio.get_running_loop().time() + self._settings.deadline_s
        try:
            given = await asyncio.gather(
                *(self._retrain(item, snapshots[item.symbol], deadline) for item in pipelines)
            )
        except asyncio.CancelledError:
            stopped = Outcome(failure="the worker was stopped")
            await self._last_word(self._ended(started, dict.fromkeys(snapshots, stopped), began))
            raise
        ended = self._ended(started, dict(zip(snapshots, given, strict=True)), began)
        self._note(ended)
        await self._tell(ended)

    def _ended(
        self, started: RetrainEvent, outcomes: Mapping[str, Outcome], began: float
    ) -> RetrainEvent:
        return ended_event(
            started,
            outcomes,
            at=self._clock.now(),
            duration_s=self._clock.monotonic() - began,
        )

    async def _last_word(self, ended: RetrainEvent) -> None:
        with contextlib.suppress(TimeoutError):  # the broker may be away
            async with asyncio.timeout(LAST_WORD_S):
                await self._tell(ended)

    async def _tell(self, event: RetrainEvent) -> None:
        """Publish; an event that cannot be published must not stop the models."""
        try:
            await self._publish(event)
        except Exception as error:  # noqa: BLE001 - whatever the broker refuses it for
            logger.error("retrain event %s of cycle %s: %s", event.state, event.cycle, error)

    async def _retrain(
        self, pipeline: SymbolPipeline, bars: BarColumns, deadline: float
    ) -> Outcome:
        """Train one symbol's four models, then promote them, or say why not. Never raises."""
        symbol, trained = pipeline.symbol, {}
        try:
            async with asyncio.timeout_at(deadline):
                trained = await self._train(pipeline, bars)
            version = await self._promote(symbol, bars, trained)
        except TimeoutError:
            late = f"{symbol}: not done in {self._settings.deadline_s:g} s"
            return outcome_of(trained, failure=late, timed_out=True)
        except Exception as error:  # noqa: BLE001 - whatever a job dies of, the champions serve on
            return outcome_of(trained, failure=f"{symbol}: {_cause(error)}")
        return outcome_of(trained, version=version)

    async def _train(self, pipeline: SymbolPipeline, bars: BarColumns) -> dict[str, TrainedModel]:
        """All four models, each in a job of its own. The first job that fails ends the others."""
        start = await self._start_of_lstm(pipeline)
        jobs = longest_first(self._job(pipeline.symbol, name, bars, start) for name in MODEL_NAMES)
        for name in MODEL_NAMES:
            logger.info("Training %s model... (%s)", TITLES[name], pipeline.symbol)
        async with asyncio.TaskGroup() as group:
            tasks = {job.model: group.create_task(self._run_job(job)) for job in jobs}
        return {name: tasks[name].result() for name in MODEL_NAMES}

    def _job(self, symbol: str, model: str, bars: BarColumns, start: Weights | None) -> TrainingJob:
        return TrainingJob(
            symbol=symbol,
            model=model,
            bars=bars,
            settings=self._settings.models,
            start=start if model == "lstm" else None,
        )

    async def _promote(
        self, symbol: str, bars: BarColumns, trained: Mapping[str, TrainedModel]
    ) -> str:
        """Write the new version and let it serve. Returns its name."""
        handover = TrainedSet(
            symbol=symbol,
            artifacts={name: model.artifact for name, model in trained.items()},
            seconds={name: model.seconds for name, model in trained.items()},
            rows=trained["lstm"].rows,
            data_from=int(bars.ts_open[0]),
            data_to=int(bars.ts_last[-1]),
        )
        models = await asyncio.to_thread(self._registry.publish, handover, now=self._clock.now())
        # The partition may have been restored meanwhile: the pipeline that is here now serves.
        current = self._symbols().get(symbol)
        if current is not None:
            current.models = models
        return models.version

    async def _start_of_lstm(self, pipeline: SymbolPipeline) -> Weights | None:
        """The weights of the LSTM that serves, where they are wanted; None for from scratch."""
        if not self._settings.lstm_warm_start:
            return None
        symbol, models = pipeline.symbol, pipeline.models
        if not models.is_trained:
            logger.info("%s: no LSTM serves yet; it is trained from scratch", symbol)
            return None
        try:
            return await asyncio.to_thread(self._read_lstm, symbol, models.version)
        except ArtifactError as error:
            logger.warning("%s: %s; the LSTM is trained from scratch", symbol, error)
            return None

    def _read_lstm(self, symbol: str, version: str) -> Weights:
        return read_weights(self._registry.artifact(symbol, version, "lstm"), self._settings.models)

    def _note(self, ended: RetrainEvent) -> None:
        """Keep the end of a cycle in the history, the metrics and the log."""
        self.training_history.append(ended)
        RETRAIN_SECONDS.set(ended.duration_seconds)
        RETRAINS.labels(ended.state).inc()
        for failure in ended.reasons:
            logger.error("Retraining failed, the serving models go on: %s", failure)
        if not ended.reasons:
            logger.info("Retraining completed in %.1fs (all 4 models)", ended.duration_seconds)
        if ended.exceeded:
            logger.warning(
                "Training took %.1fs (target: %gs)", ended.duration_seconds, ended.target_seconds
            )


def _cause(error: Exception) -> str:
    """What went wrong: the user's line of our own errors; of any other the kind and the text."""
    cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
    if isinstance(cause, ArtifactError):
        return str(cause)
    return f"{type(cause).__name__}: {cause}"
