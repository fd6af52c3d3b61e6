"""The gate on really trained models: ordinary ones pass, broken ones do not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest

from stream_app.bars.features import BarColumns
from stream_app.clock import DAY_MS
from stream_app.messages.schemas import Tick
from stream_app.models.base import Member, ModelSettings
from stream_app.models.catalog import CATALOG
from stream_app.models.last_price import last_price_artifact
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.training import gate_job, job
from stream_app.training.fit import noise_r2
from stream_app.training.gate import ENSEMBLE, Verdict
from stream_app.training.gate_job import GateJob, StandingChampion, judge_members, run_gate
from stream_app.training.job import TrainingJob, prepare, run_job
from stream_app.training.settings import model_settings
from tests.builders import START_MS, records, settings
from tests.faulty import CHANGES, Changed, seeing_ahead

BARS = 1400
SETTINGS = settings(bar_seconds=300, training_window_days=30, lstm_epochs=4)


def prices(count: int, *, seed: int, memory: float) -> Iterator[Tick]:
    """Four ticks a bar; returns with fat tails, clustered volatility, and a memory of the last."""
    rng = np.random.default_rng(seed)
    log_price, last, log_volatility = math.log(40_000.0), 0.0, 0.0
    for bar in range(count):
        log_volatility = 0.98 * log_volatility + 0.1 * rng.normal()
        shock = 1e-3 * math.exp(log_volatility) * rng.standard_t(4) / math.sqrt(2)
        last = memory * last + shock
        for part in range(1, 5):
            now = log_price + last * part / 4
            ts = START_MS + bar * 300_000 + part * 74_000
            yield Tick(symbol="A", price=math.exp(now), ts=ts, size=1.0)
        log_price += last


def bars_of(*, seed: int, memory: float, count: int = BARS) -> BarColumns:
    pipeline = PartitionPipeline(PredictionSettings.of(SETTINGS))
    pipeline.process(records(prices(count, seed=seed, memory=memory)))
    return pipeline.symbols["A"].window.columns()


def train(bars: BarColumns, models: ModelSettings) -> dict[str, bytes]:
    return {
        name: run_job(TrainingJob(symbol="A", model=name, bars=bars, settings=models)).artifact
        for name in CATALOG
    }


@dataclass(frozen=True)
class World:
    models: ModelSettings
    bars: BarColumns
    artifacts: Mapping[str, bytes]
    champion: StandingChampion
    """Of a day before."""

    def job(self, **changes: object) -> GateJob:
        own = GateJob(
            symbol="A",
            bars=self.bars,
            settings=self.models,
            weights=SETTINGS.ensemble_weights,
            artifacts=self.artifacts,
            data_to=int(self.bars.ts_last[-1]),
            champion=self.champion,
        )
        return replace(own, **changes)  # type: ignore[arg-type]

    def members(self) -> dict[str, Member]:
        return {name: CATALOG[name].load(self.artifacts[name], self.models) for name in CATALOG}


def world_of(bars: BarColumns, models: ModelSettings) -> World:
    before = bars.slice(0, len(bars) - 288)
    champion = StandingChampion(
        artifacts=train(before, models), trained_to_ts=int(before.ts_last[-1])
    )
    return World(models, bars, train(bars, models), champion)


@pytest.fixture(scope="module")
def skilled() -> World:
    """Prices of which the last return tells something: R2 about 2 %."""
    return world_of(bars_of(seed=3, memory=-0.15), model_settings(SETTINGS))


@pytest.fixture(scope="module", params=[1, 12, 24, 48])
def random_walk(request: pytest.FixtureRequest) -> World:
    """At 12 bars and more, trees of so few rows have one leaf."""
    chosen = SETTINGS.model_copy(update={"horizon_bars": request.param})
    return world_of(bars_of(seed=4, memory=0.0), model_settings(chosen))


def refused_for(verdict: Verdict) -> str | None:
    assert verdict.check is None or verdict.reason
    return verdict.check


def test_ordinary_models_pass_with_all_figures(skilled: World) -> None:
    verdict = run_gate(skilled.job())
    assert refused_for(verdict) is None, verdict
    for name in (*CATALOG, ENSEMBLE):
        assert {f"{name}.r2", f"{name}.t", f"{name}.size", f"{name}.next_bar"} <= set(
            verdict.figures
        )
    assert verdict.figures["champion.rows"] == 287  # the newest outcome is not known
    assert "champion.t" in verdict.figures


def test_models_of_a_random_walk_pass_and_noise_gives_less_than_is_allowed_for(
    random_walk: World,
) -> None:
    verdict = run_gate(random_walk.job())
    assert refused_for(verdict) is None, verdict
    rows = len(prepare(random_walk.bars, random_walk.models).rows)
    noise = noise_r2(rows, random_walk.models.horizon_bars)
    assert all(verdict.figures[f"{name}.r2"] < noise for name in (*CATALOG, ENSEMBLE))


@pytest.mark.parametrize(
    ("fault", "checks"),
    [
        ("sign turned", {"worse_than_last_price"}),
        ("ten times too large", {"worse_than_last_price", "too_good", "too_large"}),
        ("constant", {"constant"}),
    ],
)
@pytest.mark.parametrize("which", [[*CATALOG], ["random_forest"], ["lightgbm"]])
def test_a_broken_version_is_refused_and_so_is_one_with_one_broken_member(
    skilled: World, fault: str, checks: set[str], which: list[str]
) -> None:
    members = skilled.members()
    broken = members | {name: Changed(members[name], CHANGES[fault]) for name in which}
    assert refused_for(judge_members(skilled.job(), broken)) in checks


@pytest.mark.parametrize("horizon", [1, 12])
def test_models_that_look_one_bar_ahead_are_refused(
    monkeypatch: pytest.MonkeyPatch, horizon: int
) -> None:
    models = model_settings(SETTINGS.model_copy(update={"horizon_bars": horizon}))
    bars = bars_of(seed=5, memory=0.0, count=BARS if horizon == 1 else 10_000)
    leaky = seeing_ahead(job.prepare)
    monkeypatch.setattr(job, "prepare", leaky)
    monkeypatch.setattr(gate_job, "prepare", leaky)
    nobody = StandingChampion(artifacts={}, trained_to_ts=0)
    world = World(models, bars, train(bars, models), nobody)
    verdict = run_gate(world.job(champion=None))
    assert refused_for(verdict) == "too_good", verdict


def test_models_of_stale_data_are_refused(skilled: World) -> None:
    stale = skilled.job(data_to=int(skilled.bars.ts_last[-1]) - DAY_MS)
    verdict = run_gate(stale)
    assert refused_for(verdict) == "stale"
    assert verdict.figures["data.behind_s"] == 86_400
    model = run_job(
        TrainingJob(
            symbol="A", model="kalman", bars=skilled.bars.head(700), settings=skilled.models
        )
    )
    assert model.data_to == skilled.bars.ts_last[699]


def test_a_model_that_answers_the_last_price_because_it_must_is_no_constant(
    skilled: World,
) -> None:
    spec = CATALOG["lightgbm"]
    artifact = last_price_artifact("lightgbm", spec.suffix, "nothing to learn", skilled.models)
    verdict = run_gate(skilled.job(artifacts={**skilled.artifacts, "lightgbm": artifact}))
    assert refused_for(verdict) is None, verdict
    assert "lightgbm.r2" not in verdict.figures


def test_a_champion_that_has_seen_all_is_not_compared_with(skilled: World) -> None:
    seen = replace(skilled.champion, trained_to_ts=int(skilled.bars.ts_last[-1]))
    verdict = run_gate(skilled.job(champion=seen))
    assert refused_for(verdict) is None
    assert verdict.figures["champion.rows"] == 0
    assert "champion.t" not in verdict.figures
