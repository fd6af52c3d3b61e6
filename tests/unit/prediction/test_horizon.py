"""The horizon, by time or by bars, is the same in training and in what the live side learns."""

from __future__ import annotations

import numpy as np
import pytest

from stream_app.clock import DAY_MS
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.scoring.chance import recent_outcomes
from stream_app.training.job import prepare
from stream_app.training.settings import model_settings
from tests.builders import START_MS, records, settings, walk
from tests.fakes import model_set

STEP_MS = 15_000


@pytest.mark.parametrize("horizon_by", ["time", "bars"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_the_live_errors_are_those_of_the_training_targets(horizon_by: str, horizon: int) -> None:
    chosen = settings(horizon_bars=horizon, horizon_by=horizon_by, model_max_age_hours=1e7)
    pipeline = PartitionPipeline(PredictionSettings.of(chosen))
    pipeline.pipeline_of("BTC").models = model_set(trained_to_ts=0, horizon_bars=horizon)
    friday = list(walk(400))
    monday = list(walk(120, seed=2, start=START_MS + 400 * STEP_MS + 2 * DAY_MS))

    answer = pipeline.process(records([*friday, *monday]))

    symbol = pipeline.pipeline_of("BTC")
    forecast = np.array([np.nan if bar.forecast is None else bar.forecast for bar in answer.bars])
    bars = symbol.window.columns()
    target = prepare(bars, model_settings(chosen)).target.astype(np.float64)
    assert [bar.ts_open for bar in answer.bars] == bars.ts_open.tolist()
    expected = (target - forecast)[np.isfinite(target) & np.isfinite(forecast)]
    over_the_weekend = np.isfinite(target[99 - horizon + 1 : 100])
    assert over_the_weekend.all() == (horizon_by == "bars")
    assert list(symbol.record.bias._errors) == pytest.approx(
        expected[-recent_outcomes(1) :], rel=1e-4, abs=1e-9
    )


@pytest.mark.parametrize("horizon_by", ["time", "bars"])
def test_the_target_time_is_the_earliest_that_the_horizon_can_be(horizon_by: str) -> None:
    chosen = settings(horizon_bars=2, horizon_by=horizon_by)
    answer = PartitionPipeline(PredictionSettings.of(chosen)).process(records(walk(10)))

    assert {item.target_ts - item.ts for item in answer.predictions} == {120_000}
    assert {item.horizon_s for item in answer.predictions} == {120}
