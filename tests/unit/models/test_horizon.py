"""What a longer horizon changes in what the models learn: h rows that overlap count as one."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from stream_app.models import lstm_network
from stream_app.models.base import ModelSettings, TrainingData
from stream_app.models.catalog import CATALOG
from stream_app.models.gradient_boosting import GradientBoostingForecaster
from stream_app.models.lstm import LSTMForecaster
from stream_app.models.random_forest import RandomForestForecaster
from stream_app.models.training_rows import scaled_target
from stream_app.training.job import TrainingJob, prepare, run_job, serve
from tests.contract.worlds import MODELS, SETTINGS, bars_of, head, random_walk


def ahead(horizon_bars: int, **changes: Any) -> ModelSettings:
    return dataclasses.replace(SETTINGS, horizon_bars=horizon_bars, **changes)


def walk(settings: ModelSettings, count: int = 2000) -> TrainingData:
    return prepare(random_walk(count), settings)


def test_one_bar_ahead_the_target_is_only_scaled() -> None:
    data = walk(ahead(1))
    target = data.target[data.rows].astype(np.float64)
    scaled, unit = scaled_target(data, 1)
    np.testing.assert_array_equal(scaled, (target / unit).astype(np.float32))


@pytest.mark.parametrize("horizon", [3, 12, 48])
def test_a_drift_that_may_be_chance_is_reduced_to_one_bars(horizon: int) -> None:
    data = walk(ahead(horizon))
    scaled, unit = scaled_target(data, horizon)
    drift = data.target[data.rows].astype(np.float64).mean() / unit
    assert abs(drift) > 0.01
    assert scaled.mean(dtype=np.float64) == pytest.approx(drift / horizon, rel=1e-3)


def test_a_drift_beyond_chance_is_kept() -> None:
    steady = bars_of(np.random.default_rng(1).normal(1e-3, 1e-3, 2000))
    data = prepare(steady, ahead(12))
    scaled, unit = scaled_target(data, 12)
    drift = data.target[data.rows].astype(np.float64).mean() / unit
    assert scaled.mean() > 0.95 * drift


@pytest.mark.parametrize(("horizon", "rows"), [(1, 3000), (1, 9000), (4, 9000)])
def test_a_leaf_of_the_forest_holds_as_many_outcomes_at_any_horizon_and_window(
    horizon: int, rows: int
) -> None:
    settings = ahead(horizon)
    data = walk(settings, rows)
    forecaster = RandomForestForecaster()
    forecaster.fit(data, settings)
    for estimator in forecaster._trained()[0].estimators_:
        tree = estimator.tree_
        leaves = tree.children_left < 0
        assert tree.node_count > 1
        assert tree.n_node_samples[leaves].min() >= 333 * horizon


@pytest.mark.parametrize(("horizon", "rows"), [(1, 3000), (1, 9000), (4, 9000), (12, 9000)])
def test_a_leaf_of_lightgbm_holds_as_many_outcomes_at_any_horizon_and_window(
    horizon: int, rows: int
) -> None:
    settings = ahead(horizon)
    data = walk(settings, rows)
    forecaster = GradientBoostingForecaster()
    forecaster.fit(data, settings)
    booster = forecaster._trained()[0]
    counts = booster.trees_to_dataframe().query("left_child.isna()")["count"]
    assert booster.num_trees() < len(counts) <= 3 * booster.num_trees()
    assert counts.min() >= 333 * horizon


def test_the_rows_of_an_epoch_share_no_step_of_their_targets() -> None:
    settings = ahead(12, lstm_epochs=12)
    epochs = [lstm_network.rows_of_epoch(1000, each, settings) for each in range(1, 13)]
    assert all((torch.diff(rows) == 12).all() for rows in epochs)
    assert torch.cat(epochs).sort().values.tolist() == list(range(1000))
    few = ahead(12, lstm_epochs=3)
    assert [int(lstm_network.rows_of_epoch(1000, e, few)[0]) for e in (1, 2, 3)] == [0, 4, 8]
    assert lstm_network.rows_of_epoch(1000, 2, ahead(1)).tolist() == list(range(1000))


def test_an_epoch_has_a_row_where_the_rows_are_fewer_than_the_horizon() -> None:
    settings = ahead(288, lstm_epochs=10)
    assert all(len(lstm_network.rows_of_epoch(50, e, settings)) for e in range(1, 11))


@pytest.mark.parametrize(("horizon", "decay"), [(1, 3.0), (4, 6.0), (144, 36.0)])
def test_the_lstms_decay_grows_with_the_root_of_the_horizon(
    horizon: int, decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    real = torch.optim.AdamW

    def noting(*args: Any, **kwargs: Any) -> torch.optim.AdamW:
        seen.append(kwargs["weight_decay"])
        return real(*args, **kwargs)

    monkeypatch.setattr(torch.optim, "AdamW", noting)
    settings = ahead(horizon)
    LSTMForecaster().fit(walk(settings, 400), settings)
    assert seen == [decay]


@pytest.mark.parametrize("name", MODELS)
def test_a_window_hardly_longer_than_the_horizon_is_learned_from(name: str) -> None:
    settings = ahead(288)
    bars = random_walk(50 + 48 + SETTINGS.sequence_length - 1 + 288)
    model = run_job(TrainingJob(symbol="X", model=name, bars=bars, settings=settings))
    assert (model.rows, model.last_price) == (50, None)
    data = prepare(bars, settings)
    answers = serve(CATALOG[name].load(model.artifact, settings), data, data.rows, settings)
    assert np.isfinite(answers).all()


@pytest.mark.parametrize("horizon", [12, 48])
@pytest.mark.parametrize("name", MODELS)
def test_on_a_random_walk_forecasts_further_ahead_add_little_error(name: str, horizon: int) -> None:
    """What forecasts add to the squared error of saying nothing is their own mean square."""
    settings = ahead(
        horizon, sequence_length=30, lstm_layers=(32, 16), lstm_batch_size=64, lstm_epochs=10
    )
    bars = random_walk(6000, seed=4)
    job = TrainingJob(symbol="X", model=name, bars=head(bars, 3000), settings=settings)
    member = CATALOG[name].load(run_job(job).artifact, settings)
    data = prepare(bars, settings)
    unseen = data.rows[data.rows >= 3000]
    answers = serve(member, data, unseen, settings)
    assert np.square(answers).mean() < 0.01 * np.square(data.target[unseen]).mean()
