"""What every Forecaster must do, held to the same checks."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import math
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from stream_app.errors import TrainingError
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import CATALOG
from stream_app.settings import Settings
from stream_app.training.job import TrainingJob, prepare, run_job, serve
from tests.contract.conftest import Trained, train
from tests.contract.worlds import (
    BAR_MS,
    MODELS,
    SETTINGS,
    head,
    mean_reverting,
    random_walk,
    trending,
    walk_data,
)

every_model = pytest.mark.parametrize("name", MODELS)


def test_the_catalog_has_every_model_of_the_settings_in_their_order() -> None:
    assert MODELS == ("kalman", "random_forest", "lightgbm", "lstm")
    assert tuple(CATALOG) == tuple(Settings().ensemble_weights) == MODELS
    assert all(CATALOG[name].name == name for name in MODELS)


def test_the_catalog_decides_weights_and_the_order_of_training() -> None:
    assert math.fsum(spec.weight for spec in CATALOG.values()) == pytest.approx(1.0)
    ranks = sorted(CATALOG.values(), key=lambda spec: spec.training_rank)
    assert [spec.name for spec in ranks] == ["lstm", "random_forest", "lightgbm", "kalman"]
    assert [spec.training_rank for spec in ranks] == [0, 1, 2, 3]


def test_the_catalog_names_what_is_installed() -> None:
    for spec in CATALOG.values():
        assert spec.libraries
        assert spec.trainers
        assert all(importlib.metadata.version(library) for library in spec.libraries)
        assert all(importlib.util.find_spec(trainer) for trainer in spec.trainers)


def test_answers_are_finite_float64_of_the_rows_shape(trained: Trained) -> None:
    rows = walk_data().rows
    assert trained.answers.shape == rows.shape
    assert trained.answers.dtype == np.float64
    assert np.isfinite(trained.answers).all()
    assert trained.answers.std() > 0


def test_the_same_seed_gives_the_same_model(trained: Trained) -> None:
    again = train(trained.name)
    np.testing.assert_array_equal(again.answers, trained.answers)
    assert again.artifact == trained.artifact


@pytest.mark.parametrize("name", ["random_forest", "lightgbm", "lstm"])
def test_another_seed_gives_another_model(name: str) -> None:
    data, answers = walk_data(), []
    for seed in (1, 2):
        forecaster = CATALOG[name].new_forecaster()
        forecaster.fit(data, dataclasses.replace(SETTINGS, seed=seed))
        answers.append(forecaster.predict(data, data.rows))
    assert not np.array_equal(answers[0], answers[1])


@every_model
def test_too_few_rows_are_refused(name: str) -> None:
    data = prepare(random_walk(100), SETTINGS)
    assert 0 < len(data.rows) < 50
    with pytest.raises(TrainingError, match="training rows; at least 50"):
        CATALOG[name].new_forecaster().fit(data, SETTINGS)


@every_model
def test_a_window_of_the_least_length_is_enough(name: str) -> None:
    bars = random_walk(50 + 48 + SETTINGS.sequence_length)
    model = run_job(TrainingJob(symbol="X", model=name, bars=bars, settings=SETTINGS))
    assert model.rows == 50


@every_model
def test_a_value_that_is_not_finite_is_refused(name: str) -> None:
    data = walk_data()
    at = data.rows[7]
    broken_close = data.bars.log_close.copy()
    broken_close[at] = np.nan
    broken_features = data.features.copy()
    broken_features[at, 3] = np.nan
    broken_target = data.target.copy()
    broken_target[at] = np.inf
    for broken in (
        dataclasses.replace(data, bars=dataclasses.replace(data.bars, log_close=broken_close)),
        dataclasses.replace(data, features=broken_features),
        dataclasses.replace(data, target=broken_target),
    ):
        with pytest.raises(TrainingError, match="not finite"):
            CATALOG[name].new_forecaster().fit(broken, SETTINGS)


def test_a_sequence_that_is_not_finite_before_the_first_row_is_refused() -> None:
    data = walk_data()
    features = data.features.copy()
    features[data.rows[0] - 1, 0] = np.nan
    with pytest.raises(TrainingError, match="not finite"):
        CATALOG["lstm"].new_forecaster().fit(dataclasses.replace(data, features=features), SETTINGS)


@every_model
def test_a_price_that_does_not_move_is_refused(name: str) -> None:
    data = prepare(dataclasses.replace(random_walk(200), log_close=np.full(200, 10.0)), SETTINGS)
    with pytest.raises(TrainingError, match="does not move"):
        CATALOG[name].new_forecaster().fit(data, SETTINGS)


@every_model
def test_it_learns_what_is_there_to_learn(name: str) -> None:
    # The trend's model cannot say that a return takes the last one back; it gets a trend.
    bars = trending(1000) if name == "kalman" else mean_reverting(1000)
    settings = dataclasses.replace(SETTINGS, lstm_epochs=20, lstm_batch_size=16)
    job = TrainingJob(symbol="X", model=name, bars=head(bars, 750), settings=settings)
    member = CATALOG[name].load(run_job(job).artifact, settings)

    data = prepare(bars, settings)
    unseen = data.rows[data.rows >= 750]
    answers = serve(member, data, unseen, settings)

    realised = data.target[unseen]
    error = np.abs(realised - answers).mean()
    last_price_error = np.abs(realised).mean()
    # A perfect forecaster of the AR(1) reaches 0.8 of the last price's error.
    assert error < 0.93 * last_price_error


@every_model
def test_a_longer_horizon_is_forecast_as_such(name: str) -> None:
    # A tree that forecasts three bars splits from two leaves of 1,000 rows on.
    bars = trending({"random_forest": 6000, "lightgbm": 2500}.get(name, 800))
    spread = []
    for horizon in (1, 3):
        # As many steps of the LSTM at both horizons, whose epochs are shorter further ahead.
        settings = dataclasses.replace(SETTINGS, horizon_bars=horizon, lstm_epochs=20 * horizon)
        data = prepare(bars, settings)
        forecaster = CATALOG[name].new_forecaster()
        forecaster.fit(data, settings)
        spread.append(forecaster.predict(data, data.rows).std())
    assert spread[1] > 2 * spread[0]


@every_model
def test_a_job_trains_the_same_in_a_spawned_process(
    name: str, spawned: ProcessPoolExecutor
) -> None:
    job = TrainingJob(symbol="X", model=name, bars=random_walk(200), settings=SETTINGS)
    assert pickle.loads(pickle.dumps(job)).settings == SETTINGS  # noqa: S301 - our own bytes
    here, there = run_job(job), spawned.submit(run_job, job).result()
    assert (there.name, there.rows) == (here.name, here.rows) == (name, 200 - 48 - 7 - 1)
    assert there.artifact == here.artifact


def test_other_layers_and_lengths_are_learned_and_served() -> None:
    settings = ModelSettings(
        bar_ms=BAR_MS,
        horizon_bars=2,
        sequence_length=2,
        lstm_layers=(6, 5, 4),
        lstm_batch_size=300,
        lstm_epochs=1,
        seed=0,
    )
    job = TrainingJob(symbol="X", model="lstm", bars=random_walk(200), settings=settings)
    assert run_job(job).rows == 200 - 48 - 1 - 2
