"""The line through the last returns that the models begin with."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stream_app.bars.features import LOOKBACK
from stream_app.models.base import TrainingData
from stream_app.models.line import LIMIT, STEPS, Line, fit_line, no_line
from stream_app.training.job import prepare
from tests.contract.worlds import SETTINGS, bars_of


def known_in_part(correlation: float, count: int, seed: int) -> TrainingData:
    """Returns, each with this correlation with the last."""
    rng = np.random.default_rng(seed)
    returns = np.empty(count)
    last = 0.0
    for at in range(count):
        last = returns[at] = correlation * last + rng.normal(0, 1e-3 * np.sqrt(1 - correlation**2))
    return prepare(bars_of(returns), SETTINGS)


def worth(data: TrainingData, line: Line, correlation: float) -> float:
    """R2 against what is known."""
    last = data.features[data.rows, 0].astype(np.float64)
    known, said = correlation * last, line(data.features[data.rows])
    return float((2 * said * known - said**2).mean() / np.square(last).mean())


def test_a_return_that_is_known_to_one_percent_is_found_in_five_days() -> None:
    found = [
        worth(data, fit_line(data, 1), 0.1)
        for data in (known_in_part(0.1, 5 * 288, seed) for seed in range(20))
    ]
    assert np.mean(found) > 0.006


def test_on_a_random_walk_it_says_next_to_nothing() -> None:
    found = [
        worth(data, fit_line(data, 1), 0.0)
        for data in (known_in_part(0.0, 5 * 288, seed) for seed in range(20))
    ]
    assert np.mean(found) > -0.001


def test_at_h_bars_h_rows_count_as_one() -> None:
    data = known_in_part(0.1, 600, 1)
    repeated = dataclasses.replace(data, rows=np.repeat(data.rows, 3))
    once, thrice = fit_line(data, 1), fit_line(repeated, 3)
    np.testing.assert_allclose(thrice.slopes, once.slopes, rtol=1e-9)


def test_a_wild_return_counts_as_one_at_the_limit() -> None:
    data = known_in_part(0.1, 600, 1)
    line = fit_line(data, 1)
    asked = np.zeros((2, data.features.shape[1]), dtype=np.float32)
    asked[0] = LIMIT * line.size[0]  # the same price before it at every span
    asked[1] = 1000 * line.size[0]
    said = line(asked)
    assert said[0] == pytest.approx(LIMIT * line.slopes[0], rel=1e-6)
    assert said[1] == pytest.approx(said[0], rel=1e-6)


def test_what_is_left_is_learned_from_and_nothing_else_changes() -> None:
    data = known_in_part(0.1, 600, 1)
    line = fit_line(data, 1)
    left = line.beyond(data)
    said = line(data.features[data.rows])
    np.testing.assert_allclose(left.target[data.rows] + said, data.target[data.rows], atol=1e-9)
    others = np.setdiff1d(np.arange(len(data.target)), data.rows)
    np.testing.assert_array_equal(left.target[others], data.target[others])
    assert left.features is data.features


def test_returns_that_are_always_zero_do_no_harm() -> None:
    data = known_in_part(0.1, 600, 1)
    still = data.features.copy()
    still[LOOKBACK:, :STEPS] = 0.0
    line = fit_line(dataclasses.replace(data, features=still), 1)
    assert line(data.features[data.rows]).tolist() == [0.0] * len(data.rows)


def test_no_line_says_the_last_price() -> None:
    data = known_in_part(0.1, 600, 1)
    assert not no_line()(data.features[data.rows]).any()
