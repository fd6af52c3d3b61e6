from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.bars.contexts import bar_vectors
from stream_app.bars.features import FEATURES, LOOKBACK, BarColumns
from stream_app.errors import TrainingError
from stream_app.models import gradient_boosting
from stream_app.models.base import Member, ModelSettings, Rows, TrainingData
from stream_app.models.kalman import KalmanForecaster
from stream_app.training.holdout import evaluate, one_by_one
from stream_app.training.job import TrainedModel, TrainingJob, prepare, run_job
from tests.contract.worlds import BAR_MS, MODELS, SETTINGS, head, random_walk, trending

FIRST = LOOKBACK + SETTINGS.sequence_length - 1
WEIGHTS = {"kalman": 0.1, "random_forest": 0.3, "lightgbm": 0.35, "lstm": 0.25}


def without(bars: BarColumns, missing: Sequence[int]) -> BarColumns:
    kept = np.setdiff1d(np.arange(len(bars)), missing)
    fields = dataclasses.fields(bars)
    return BarColumns(**{field.name: getattr(bars, field.name)[kept] for field in fields})


def test_a_row_has_its_features_and_the_return_over_the_horizon() -> None:
    bars = random_walk(120)
    for horizon in (1, 3):
        data = prepare(bars, dataclasses.replace(SETTINGS, horizon_bars=horizon))
        assert data.features.shape == (120, FEATURES)
        assert np.isnan(data.features[:LOOKBACK]).all()
        np.testing.assert_array_equal(data.features[LOOKBACK:], bar_vectors(bars))
        expected = bars.log_close[horizon:] - bars.log_close[:-horizon]
        np.testing.assert_allclose(data.target[:-horizon], expected, rtol=1e-6)
        assert data.target.dtype == np.float32
        assert np.isnan(data.target[-horizon:]).all()
        np.testing.assert_array_equal(data.rows, np.arange(FIRST, 120 - horizon))


def test_a_return_over_a_gap_is_over_the_horizon_or_unknown() -> None:
    bars = without(random_walk(120), [100, 101])
    one = prepare(bars, SETTINGS)
    assert np.isnan(one.target[99])
    assert 99 not in one.rows
    assert np.isfinite(one.target[100])
    three = prepare(bars, dataclasses.replace(SETTINGS, horizon_bars=3))
    # Bars 97 and 98 lack their end; 99's is bar 102, which now stands at index 100.
    assert np.isnan(three.target[[97, 98]]).all()
    assert three.target[99] == np.float32(bars.log_close[100] - bars.log_close[99])
    assert {97, 98}.isdisjoint(three.rows.tolist())


def test_too_few_bars_give_no_rows() -> None:
    for count in (0, 1, LOOKBACK, FIRST + 1):
        data = prepare(head(random_walk(100), count), SETTINGS)
        assert len(data.rows) == 0
        assert data.features.shape == (count, FEATURES)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "column", ["log_close", "log_high", "log_low", "kalman_velocity", "kalman_innovation"]
)
def test_a_bar_that_is_not_finite_is_named(column: str, value: float) -> None:
    bars = random_walk(120)
    values = getattr(bars, column).copy()
    values[60] = value
    changed: dict[str, Any] = {column: values}
    broken = dataclasses.replace(bars, **changed)
    at = bars.ts_open[60]
    with pytest.raises(TrainingError, match=f"bar at {at} has a {column} that is not finite"):
        prepare(broken, SETTINGS)


def job(model: str = "kalman", count: int = 200) -> TrainingJob:
    return TrainingJob(symbol="BTC", model=model, bars=random_walk(count), settings=SETTINGS)


def test_a_job_says_what_it_did() -> None:
    model = run_job(job())
    assert model.name == "kalman"
    assert model.rows == 200 - FIRST - 1
    assert model.seconds > 0
    assert model.artifact.startswith(b"{")


def test_a_model_with_an_answer_that_is_not_finite_never_gets_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = KalmanForecaster.predict

    def wrong(
        self: KalmanForecaster, data: TrainingData, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        answers = right(self, data, rows)
        answers[0] = np.nan
        return answers

    monkeypatch.setattr(KalmanForecaster, "predict", wrong)
    with pytest.raises(TrainingError, match="BTC: kalman gives answers that are not finite"):
        run_job(job())


def test_an_artifact_that_answers_otherwise_never_gets_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Off:
        needs_features: ClassVar[bool] = True

        def __init__(self, member: Member) -> None:
            self._member = member

        def predict(self, rows: Rows) -> NDArray[np.float64]:
            return self._member.predict(rows) + 2e-5

    right = gradient_boosting.load_lightgbm

    def load(artifact: bytes, settings: ModelSettings) -> Member:
        return Off(right(artifact, settings))

    monkeypatch.setattr(gradient_boosting, "load_lightgbm", load)
    with pytest.raises(
        TrainingError, match=r"BTC: the exported lightgbm differs .* by 2(\.\d+)?e-05$"
    ):
        run_job(job("lightgbm"))


def test_an_evaluation_measures_on_bars_that_no_model_saw() -> None:
    bars = trending(400)
    seen: list[TrainingJob] = []
    progress: list[str] = []

    def train_all(jobs: Sequence[TrainingJob]) -> Iterable[TrainedModel]:
        seen.extend(jobs)
        return one_by_one(jobs[::-1])  # in whatever order a pool gives them back

    result = evaluate(
        bars,
        SETTINGS,
        weights=WEIGHTS,
        train_all=train_all,
        on_progress=lambda model: progress.append(model.name),
    )

    rows = np.arange(FIRST, 399)
    cut = rows[int(len(rows) * 0.8)]
    assert [each.model for each in seen] == list(MODELS)
    for each in seen:
        np.testing.assert_array_equal(each.bars.ts_open, bars.ts_open[:cut])
        np.testing.assert_array_equal(each.bars.log_high, bars.log_high[:cut])
    assert progress == list(MODELS[::-1])
    assert (result.bars, result.features) == (400, FEATURES)
    assert result.rows == cut - FIRST - 1
    assert result.test_rows == len(rows) - int(len(rows) * 0.8)
    assert list(result.models) == list(MODELS)
    assert result.total_seconds >= max(score.seconds for score in result.models.values())


def test_an_evaluations_errors_are_those_of_the_price() -> None:
    bars = trending(400)
    result = evaluate(bars, SETTINGS, weights=dict.fromkeys(MODELS, 0.0) | {"kalman": 1.0})
    price = np.exp(bars.log_close)
    test = np.arange(399 - result.test_rows, 399)
    error = np.abs(price[test + 1] - price[test])
    assert result.last_price.mae == pytest.approx(error.mean(), rel=1e-4)
    assert result.last_price.mape == pytest.approx(100 * (error / price[test + 1]).mean(), rel=1e-4)
    kalman = result.models["kalman"]
    assert (result.ensemble.mae, result.ensemble.mape) == (kalman.mae, kalman.mape)
    assert kalman.mae < 0.9 * result.last_price.mae


def test_an_evaluation_of_too_few_bars_is_refused() -> None:
    with pytest.raises(TrainingError, match="leave no row"):
        evaluate(random_walk(50), SETTINGS, weights=WEIGHTS)
    with pytest.raises(TrainingError, match="training rows; at least"):
        evaluate(random_walk(100), SETTINGS, weights=WEIGHTS)


def test_bars_of_another_length_are_another_horizon() -> None:
    data = prepare(random_walk(120), dataclasses.replace(SETTINGS, bar_ms=2 * BAR_MS))
    expected = data.bars.log_close[2:] - data.bars.log_close[:-2]
    np.testing.assert_allclose(data.target[:-2], expected, rtol=1e-6)


@pytest.mark.parametrize("horizon", [1, 3])
def test_by_bars_a_target_reaches_over_a_weekend(horizon: int) -> None:
    bars = random_walk(300)
    ts_open = bars.ts_open.copy()
    ts_open[150:] += 2 * 86_400_000
    bars = dataclasses.replace(bars, ts_open=ts_open)

    by_time = prepare(bars, dataclasses.replace(SETTINGS, horizon_bars=horizon))
    by_bars = prepare(bars, dataclasses.replace(SETTINGS, horizon_bars=horizon, horizon_by="bars"))

    assert np.flatnonzero(np.isnan(by_bars.target)).tolist() == [*range(300 - horizon, 300)]
    assert np.isnan(by_time.target[150 - horizon : 150]).all()
    friday = 149
    assert by_bars.target[friday] == pytest.approx(
        bars.log_close[friday + horizon] - bars.log_close[friday], rel=1e-5
    )
    same = np.isfinite(by_time.target)
    assert (by_bars.target[same] == by_time.target[same]).all()
    assert set(by_time.rows) < set(by_bars.rows)
