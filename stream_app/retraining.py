"""The retrain cycle: when, for whom, in which time, and who serves afterwards.

A cycle is all or nothing for each symbol: four new models serve together, by one assignment, or
the old ones go on. Predictions never wait for it: the jobs run in the pool, the registry's disk
work in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol

from stream_app.errors import StreamAppError
from stream_app.features import BarColumns
from stream_app.metrics import RETRAIN_SECONDS, RETRAINS
from stream_app.models.base import ModelSettings
from stream_app.pool import longest_first
from stream_app.registry import Registry, TrainedSet
from stream_app.schemas import RetrainEvent, RetrainTrigger
from stream_app.settings import MODEL_NAMES, Settings
from stream_app.symbol import SymbolPipeline
from stream_app.training import TrainedModel, TrainingJob

logger = logging.getLogger(__name__)

TITLES: Final = {
    "kalman": "Kalman Filter",
    "random_forest": "Random Forest",
    "lightgbm": "LightGBM",
    "lstm": "LSTM",
}
GROWTH: Final = 2.0
"""A window this many times longer than the one learned from is worth a retrain of its own."""
KEPT_EVENTS: Final = 1000


class Clock(Protocol):
    """Wall-clock time, injected."""

    def now(self) -> datetime:
        """The time of day, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...


RunJob = Callable[[TrainingJob], Coroutine[Any, Any, TrainedModel]]


@dataclass(slots=True)
class _Outcome:
    """What a cycle gave for one symbol."""

    seconds: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    version: str | None = None
    failure: str | None = None
    timed_out: bool = False


def model_settings(settings: Settings) -> ModelSettings:
    """The part of the settings that the models know."""
    return ModelSettings(
        bar_ms=settings.bar_ms,
        horizon_bars=settings.horizon_bars,
        sequence_length=settings.lstm_sequence_length,
        lstm_layers=settings.lstm_layers,
        lstm_batch_size=settings.lstm_batch_size,
        lstm_epochs=settings.lstm_epochs,
        seed=settings.model_seed,
    )


class Retrainer:
    """Decides when to retrain and runs one cycle at a time."""

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
        self._next_scheduled = clock.monotonic() + settings.retrain_interval_hours * 3600
        self._trained_bars: dict[str, int] = {}
        self._cycle: asyncio.Task[None] | None = None
        self.training_history: deque[RetrainEvent] = deque(maxlen=KEPT_EVENTS)
        """The ended cycles of this worker, oldest first."""

    def due(self) -> tuple[RetrainTrigger, list[SymbolPipeline]] | None:
        """Whether a cycle should start now, why, and for which symbols. Returns at once."""
        here = self._symbols()
        ready = [
            pipeline
            for pipeline in here.values()
            if len(pipeline.window) >= self._settings.min_training_bars
        ]
        for gone in self._trained_bars.keys() - here.keys():
            del self._trained_bars[gone]  # should it come back, its models here may be old
        if self._clock.monotonic() >= self._next_scheduled:
            return ("scheduled", ready) if ready else None
        if fresh := [item for item in ready if item.symbol not in self._trained_bars]:
            return "initial", fresh
        grown = [
            pipeline
            for pipeline in ready
            if len(pipeline.window) >= GROWTH * self._trained_bars[pipeline.symbol]
        ]
        return ("growth", grown) if grown else None

    def tick(self) -> None:
        """Start a cycle when one is due and none is running. Returns at once; the timer's call."""
        if self._cycle is not None and not self._cycle.done():
            return
        due = self.due()
        if due is None:
            return
        trigger, pipelines = due
        if trigger == "scheduled":
            interval = self._settings.retrain_interval_hours * 3600
            missed = (self._clock.monotonic() - self._next_scheduled) // interval
            self._next_scheduled += (missed + 1) * interval
        self._cycle = asyncio.create_task(self.run_cycle(trigger, pipelines))

    async def stop(self) -> None:
        """End a running cycle; its symbols keep their models."""
        if self._cycle is not None:
            self._cycle.cancel()
            await asyncio.gather(self._cycle, return_exceptions=True)

    async def run_cycle(self, trigger: RetrainTrigger, pipelines: Sequence[SymbolPipeline]) -> None:
        """Retrain the symbols, promote each complete set, publish what happened."""
        started = self._clock.monotonic()
        snapshots = {item.symbol: item.window.columns() for item in pipelines}
        event = self._event(trigger, snapshots)
        for pipeline in pipelines:
            # Noted before the outcome: a symbol that fails is tried again by the schedule, or
            # when its window has grown, not in a loop.
            self._trained_bars[pipeline.symbol] = len(snapshots[pipeline.symbol])
        logger.info("Starting model retraining (all 4 models including LSTM)...")
        await self._tell(event)
        deadline = asyncio.get_running_loop().time() + self._settings.retrain_deadline_seconds
        outcomes = await asyncio.gather(
            *(self._retrain(item, snapshots[item.symbol], deadline) for item in pipelines)
        )
        ended = self._conclude(
            event,
            dict(zip(snapshots, outcomes, strict=True)),
            self._clock.monotonic() - started,
        )
        self.training_history.append(ended)
        await self._tell(ended)

    async def _tell(self, event: RetrainEvent) -> None:
        """Publish; an event that cannot be published must not stop the models."""
        try:
            await self._publish(event)
        except Exception as error:  # noqa: BLE001 - whatever the broker refuses it for
            logger.error("retrain event %s of cycle %s: %s", event.state, event.cycle, error)

    def _event(self, trigger: RetrainTrigger, snapshots: Mapping[str, BarColumns]) -> RetrainEvent:
        return RetrainEvent(
            cycle=uuid.uuid4().hex[:12],
            state="started",
            trigger=trigger,
            timestamp=self._clock.now().isoformat(timespec="milliseconds"),
            duration_seconds=0.0,
            lstm_included=True,
            target_seconds=self._settings.retrain_target_seconds,
            exceeded=False,
            rows=0,
            data_from=min(int(bars.ts_open[0]) for bars in snapshots.values()),
            data_to=max(int(bars.ts_last[-1]) for bars in snapshots.values()),
            symbols=tuple(snapshots),
            worker=self._worker,
        )

    async def _retrain(
        self, pipeline: SymbolPipeline, bars: BarColumns, deadline: float
    ) -> _Outcome:
        """Train one symbol's four models and promote them, or say why not. Never raises."""
        outcome = _Outcome()
        try:
            async with asyncio.timeout_at(deadline):
                trained = await self._train(pipeline.symbol, bars)
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

    async def _train(self, symbol: str, bars: BarColumns) -> dict[str, TrainedModel]:
        for name in MODEL_NAMES:
            logger.info("Training %s model... (%s)", TITLES[name], symbol)
        jobs = [
            TrainingJob(symbol=symbol, model=name, bars=bars, settings=self._models)
            for name in MODEL_NAMES
        ]
        async with asyncio.TaskGroup() as group:
            tasks = {
                job.model: group.create_task(self._run_job(job)) for job in longest_first(jobs)
            }
        return {name: task.result() for name, task in tasks.items()}

    def _conclude(
        self, started: RetrainEvent, outcomes: Mapping[str, _Outcome], duration: float
    ) -> RetrainEvent:
        failures = [item for item in outcomes.values() if item.failure]
        target = self._settings.retrain_target_seconds
        ended = replace(
            started,
            state="succeeded"
            if not failures
            else "timed_out"
            if any(item.timed_out for item in failures)
            else "failed",
            timestamp=self._clock.now().isoformat(timespec="milliseconds"),
            duration_seconds=round(duration, 3),
            model_seconds={
                name: round(sum(item.seconds.get(name, 0.0) for item in outcomes.values()), 3)
                for name in MODEL_NAMES
            },
            lstm_included=all("lstm" in item.seconds for item in outcomes.values()),
            exceeded=duration > target,
            rows=sum(item.rows for item in outcomes.values()),
            versions={symbol: item.version for symbol, item in outcomes.items() if item.version},
            reasons=tuple(item.failure for item in failures if item.failure),
        )
        RETRAIN_SECONDS.set(duration)
        RETRAINS.labels(ended.state).inc()
        for failure in ended.reasons:
            logger.error("Retraining failed, the serving models go on: %s", failure)
        if not failures:
            logger.info("Retraining completed in %.1fs (all 4 models)", duration)
        if ended.exceeded:
            logger.warning("Training took %.1fs (target: %gs)", duration, target)
        return ended
