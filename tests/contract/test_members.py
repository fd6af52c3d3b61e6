"""What every Member must do, held to the same checks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stream_app.models.catalog import CATALOG
from stream_app.training.job import serve
from tests.contract.conftest import Trained
from tests.contract.worlds import SETTINGS, live_rows, taken, walk_data, young_rows


def test_it_answers_as_the_model_it_was_exported_from(trained: Trained) -> None:
    data = walk_data()
    served = serve(trained.member, data, data.rows, SETTINGS)
    difference = np.max(np.abs(served - trained.answers))
    assert difference <= 1e-5
    assert difference <= 1e-3 * trained.answers.std()


def test_it_answers_so_for_values_never_seen_too(trained: Trained) -> None:
    """Among them the features' own values shifted by one float32 step, where a threshold that
    was rounded the wrong way sends a row down the other branch."""
    data = walk_data()
    rng = np.random.default_rng(0)
    features = data.features.copy()
    known = features[48:]
    known[::2] = np.nextafter(known[::2], np.float32(np.inf))
    known[1::2] *= rng.normal(1, 0.5, known[1::2].shape).astype(np.float32)
    other = dataclasses.replace(data, features=features)
    expected = trained.forecaster.predict(other, data.rows)
    served = serve(trained.member, other, data.rows, SETTINGS)
    assert np.max(np.abs(served - expected)) <= 1e-3 * expected.std()


def test_answers_are_finite_float64_of_the_batchs_shape(trained: Trained) -> None:
    for count in (1, 2, 257):
        answers = trained.member.predict(live_rows(count))
        assert answers.shape == (count,)
        assert answers.dtype == np.float64
        assert np.isfinite(answers).all()


def test_a_batch_answers_as_its_ticks_one_by_one(trained: Trained) -> None:
    rows = live_rows(40)
    batch = trained.member.predict(rows)
    assert batch.std() > 0
    single = [trained.member.predict(taken(rows, np.array([i])))[0] for i in range(40)]
    # Matrix products round otherwise for another batch size.
    np.testing.assert_allclose(batch, single, rtol=0, atol=1e-4 * batch.std())


def test_the_order_of_a_batch_does_not_matter(trained: Trained) -> None:
    rows = live_rows(40)
    order = np.random.default_rng(3).permutation(40)
    in_order = trained.member.predict(rows)
    shuffled = trained.member.predict(taken(rows, order))
    np.testing.assert_allclose(shuffled, in_order[order], rtol=0, atol=1e-4 * in_order.std())


def test_asking_does_not_change_the_answer(trained: Trained) -> None:
    rows = live_rows(10)
    first = trained.member.predict(rows)
    trained.member.predict(live_rows(5, histories=2))
    np.testing.assert_array_equal(trained.member.predict(rows), first)


def test_only_a_member_that_needs_features_asks_for_them(trained: Trained) -> None:
    young = young_rows(4)
    if trained.member.needs_features:
        with pytest.raises(ValueError, match="features"):
            trained.member.predict(young)
    else:
        assert np.isfinite(trained.member.predict(young)).all()


def test_the_kalman_model_extrapolates_the_trend() -> None:
    forecaster = CATALOG["kalman"].new_forecaster()
    forecaster.fit(walk_data(), SETTINGS)
    member = CATALOG["kalman"].load(
        forecaster.export(), dataclasses.replace(SETTINGS, horizon_bars=12)
    )
    rows = live_rows(5)
    expected = rows.kalman_level + 12 * rows.kalman_velocity - rows.log_price
    np.testing.assert_array_equal(member.predict(rows), expected)
