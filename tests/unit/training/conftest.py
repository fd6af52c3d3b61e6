"""A retrainer for the tests: a fake clock, jobs that do as the test says, a real registry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stream_app.messages.schemas import RetrainEvent
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.store import Registry
from stream_app.registry.versions import Versions
from stream_app.training.cycle import Retrainer
from stream_app.training.gate import Verdict
from stream_app.training.gate_job import GateJob
from stream_app.training.job import TrainedModel, TrainingJob
from stream_app.training.settings import RetrainSettings, model_settings
from tests.builders import TrainedArtifacts, records, settings, walk
from tests.fakes import ServedAtOnce

SETTINGS = settings()
PASSED = Verdict(check=None, reason="", figures={"ensemble.r2": 0.01})


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Bench:
    """A retrainer and what is around it."""

    retrainer: Retrainer
    clock: FakeClock
    events: list[RetrainEvent]
    symbols: dict[str, SymbolPipeline]
    champions: ServedAtOnce
    judged: list[GateJob] = field(default_factory=list)
    jobs: list[TrainingJob] = field(default_factory=list)

    async def publish(self, event: RetrainEvent) -> None:
        self.events.append(event)

    async def finish(self) -> None:
        while self.retrainer.is_running:
            await asyncio.sleep(0.001)


def symbols(*names: str, bars: int = 250) -> dict[str, SymbolPipeline]:
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    for seed, name in enumerate(names):
        partition.process(records(walk(bars * 4 + 8, symbol=name, seed=seed)))
    return partition.symbols


Answer = Callable[[TrainingJob], Any]


@pytest.fixture
def bench(tmp_path: Path, trained_artifacts: TrainedArtifacts) -> Callable[..., Bench]:
    def make(
        given: Mapping[str, SymbolPipeline],
        *,
        answer: Answer | None = None,
        starts: Any = None,
        is_starting: Callable[[], bool] = lambda: True,
        verdict: Verdict | Callable[[GateJob], Verdict] = PASSED,
        **overrides: Any,
    ) -> Bench:
        chosen = settings(**overrides)
        clock, champions = FakeClock(), ServedAtOnce(given)

        async def publish(event: RetrainEvent) -> None:
            await made.publish(event)  # which a test may replace

        async def run_job(job: TrainingJob, begun: Callable[[], None]) -> TrainedModel:
            made.jobs.append(job)
            if starts is not None:
                await starts()
            begun()
            await asyncio.sleep(0)
            if answer is not None:
                result = answer(job)
                if asyncio.iscoroutine(result):
                    await result
                if isinstance(result, TrainedModel):
                    return result
            return TrainedModel(
                name=job.model,
                artifact=trained_artifacts[job.model],
                seconds=1.0,
                rows=100,
                data_to=int(job.bars.ts_last[-1]),
            )

        async def judge(job: GateJob) -> Verdict:
            made.judged.append(job)
            return verdict(job) if callable(verdict) else verdict

        retrainer = Retrainer(
            settings=RetrainSettings.of(chosen),
            versions=Versions(Registry(tmp_path, model_settings(chosen))),
            run_job=run_job,
            judge=judge,
            champions=champions,
            symbols=lambda: given,
            publish=publish,
            clock=clock,
            worker="w1",
            is_starting=is_starting,
        )
        made = Bench(retrainer, clock, [], dict(given), champions)
        return made

    return make
