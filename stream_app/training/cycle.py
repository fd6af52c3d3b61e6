"""The retrain cycle: for whom, in which time, and who serves afterwards.

A cycle is all or nothing for each symbol: four new models serve together, by one assignment, or
the old ones go on. Predictions never wait for it: the jobs run in the pool, the registry's disk
work in a thread.
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
from stream_app.errors import ArtifactError, StreamAppError
from stream_app.messages.schemas import RetrainEvent, RetrainTrigger
from stream_app.models.base import ModelSettings
from stream_app.models.lstm_weights import Weights, read_weights
from stream_app.ops.metrics import RETRAIN_SECONDS, RETRAINS
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.manifest import TrainedSet
from stream_app.registry.store import Registry
from stream_app.settings import MODEL_NAMES, Settings
from stream_app.training.events import Outcome, ended_event, started_event
from stream_app.training.job import TrainedModel, TrainingJob
from stream_app.training.pool import longest_first
from stream_app.training.schedule import RetrainSchedule

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


def model_settings(settings: Settings) -> ModelSettings:
    """The part of the settings that the models know."""
    return ModelSettings(
        bar_ms=settings.bar_ms,
        horizon_bars=settings.horizon_bars,
        horizon_by=settings.horizon_by,
        sequence_length=settings.lstm_sequence_length,
        lstm_layers=settings.lstm_layers,
        lstm_batch_size=settings.lstm_batch_size,
        lstm_epochs=settings.lstm_epochs,
        seed=settings.model_seed,
    )


class Retrainer:
    """Runs one cycle at a time, when the schedule says so."""

    def __init__(
        self,
        *,
        settings: Settings,
        registry: Registry,
        run_job: RunJob,
        symbols: Callable[[], Mapping[str, SymbolPipeline]],
        publish: Callable[[RetrainEvent], Awaitable[None]],
        clock: Clock,
        worker: str,
    ) -> None:
        self._settings = settings
        self._models = model_settings(settings)
        self._registry = registry
        self._run_job = run_job
        self._symbols = symbols
        self._publish = publish
        self._clock = clock
        self._worker = worker
        self._schedule = RetrainSchedule(settings, clock)
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
            target_s=self._settings.retrain_target_seconds,
            worker=self._worker,
        )
        self._schedule.begun(trigger, {name: len(bars) for name, bars in snapshots.items()})
        logger.info("Starting model retraining (all 4 models including LSTM)...")
        await self._tell(started)
        deadline = asyncio.get_running_loop().time() + self._settings.retrain_deadline_seconds

        def ended(outcomes: Mapping[str, Outcome]) -> RetrainEvent:
            return ended_event(
                started,
                outcomes,
                at=self._clock.now(),
                duration_s=self._clock.monotonic() - began,
            )

        try:
            outcomes = await asyncio.gather(
                *(self._retrain(item, snapshots[item.symbol], deadline) for item in pipelines)
            )
        except asyncio.CancelledError:
            stopped = Outcome(failure="the worker was stopped")
            await self._last_word(ended(dict.fromkeys(snapshots, stopped)))
            raise
        event = ended(dict(zip(snapshots, outcomes, strict=True)))
        self._note(event)
        await self._tell(event)

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
        """Train one symbol's four models and promote them, or say why not. Never raises."""
        outcome = Outcome()
        try:
            async with asyncio.timeout_at(deadline):
                start = await self._start_of_lstm(pipeline)
                trained = await self._train(pipeline.symbol, bars, start)
        except TimeoutError:
            outcome.timed_out = True
            outcome.failure = (
                f"{pipeline.symbol}: not done in {self._settings.retrain_deadline_seconds:g} s"
            )
            return outcome
        except Exception as error:  # noqa: BLE001 - whatever a job dies of, the champions go on
            cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            outcome.failure = f"{pipeline.symbol}: {type(cause).__name__}: {cause}"
            return outcome
        outcome.seconds = {name: model.seconds for name, model in trained.items()}
        outcome.rows = trained["lstm"].rows
        handover = TrainedSet(
            symbol=pipeline.symbol,
            artifacts={name: model.artifact for name, model in trained.items()},
            seconds=outcome.seconds,
            rows=outcome.rows,
            data_from=int(bars.ts_open[0]),
            data_to=int(bars.ts_last[-1]),
        )
        try:
            models = await asyncio.to_thread(
                self._registry.publish, handover, now=self._clock.now()
            )
        except StreamAppError as error:
            outcome.failure = f"{pipeline.symbol}: {error}"
            return outcome
        # The partition may have been restored meanwhile: the pipeline of now is to serve.
        current = self._symbols().get(pipeline.symbol)
        if current is not None:
            current.models = models
        outcome.version = models.version
        return outcome

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
        return read_weights(self._registry.artifact(symbol, version, "lstm"), self._models)

    async def _train(
        self, symbol: str, bars: BarColumns, start: Weights | None
    ) -> dict[str, TrainedModel]:
        for name in MODEL_NAMES:
            logger.info("Training %s model... (%s)", TITLES[name], symbol)
        jobs = [
            TrainingJob(
                symbol=symbol,
                model=name,
                bars=bars,
                settings=self._models,
                start=start if name == "lstm" else None,
            )
            for name in MODEL_NAMES
        ]
        async with asyncio.TaskGroup() as group:
            tasks = {
                job.model: group.create_task(self._run_job(job)) for job in longest_first(jobs)
            }
        return {name: task.result() for name, task in tasks.items()}

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
