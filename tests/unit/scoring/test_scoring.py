"""The arithmetic of forecasts against what can be worked out by hand, and against chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from stream_app.scoring.chance import (
    horizon_t,
    horizon_variance,
    least_outcomes,
    long_run_variance,
    mean_t,
)
from stream_app.scoring.skill import skill, skills

RNG = np.random.default_rng(5)


def test_skill_is_the_error_beside_that_of_saying_nothing() -> None:
    outcome = np.array([0.02, -0.01, 0.0, 0.03])
    found = skill(0.5 * outcome, outcome)
    assert found.mae_skill == pytest.approx(0.5)
    assert found.mse_skill == pytest.approx(0.75)
    assert found.hit_rate == 1.0  # the outcome of 0 does not count
    assert found.bias == pytest.approx(0.005)
    assert skill(np.zeros(4), outcome).mse_skill == 0.0


def test_prices_that_never_moved_have_no_skill_and_no_error() -> None:
    found = skill(np.zeros(3), np.zeros(3))
    assert math.isnan(found.mae_skill)
    assert math.isnan(found.hit_rate)
    assert math.isnan(found.cw_t)


@pytest.mark.parametrize(
    ("forecast", "outcome"),
    [([], []), ([1.0], [1.0, 2.0]), ([math.nan], [1.0]), ([1.0], [math.inf])],
)
def test_what_cannot_be_scored_is_refused(forecast: list[float], outcome: list[float]) -> None:
    with pytest.raises(ValueError, match=r"forecast"):
        skill(np.array(forecast), np.array(outcome))


def test_the_long_run_variance_is_bartletts() -> None:
    values = np.array([1.0, 3.0, 2.0, 6.0])
    centred = values - 3.0
    by_hand = centred @ centred / 4
    by_hand += 2 * (1 - 1 / 3) * (centred[1:] @ centred[:-1]) / 4
    by_hand += 2 * (1 - 2 / 3) * (centred[2:] @ centred[:-2]) / 4
    assert long_run_variance(values, 2) == pytest.approx(by_hand)
    assert long_run_variance(values, 0) == pytest.approx(np.var(values))


def test_overlapping_outcomes_do_not_pass_for_independent_ones() -> None:
    """Sums of 12 neighbours: without the lag, t of noise would be large far too often."""
    naive, honest = [], []
    for seed in range(200):
        steps = np.random.default_rng(seed).standard_normal(2011)
        outcome = np.convolve(steps, np.ones(12), "valid")
        naive.append(abs(mean_t(outcome, 0)) > 1.96)
        honest.append(abs(mean_t(outcome, 36)) > 1.96)
    assert np.mean(naive) > 0.4
    assert np.mean(honest) < 0.12


@pytest.mark.parametrize("horizon", [1, 2, 12])
def test_the_variance_over_a_horizon_has_even_weights_but_is_never_below_newey_wests(
    horizon: int,
) -> None:
    for values in (RNG.standard_normal(60), np.cumsum(RNG.standard_normal(60)), np.arange(5.0)):
        centred = values - values.mean()
        alike = [np.sum(centred[k:] * centred[: max(0, len(values) - k)]) for k in range(horizon)]
        even = (alike[0] + 2 * sum(alike[1:])) / len(values)
        newey_west = long_run_variance(values, horizon)
        by_hand = newey_west if horizon == 1 else max(newey_west, even)
        assert horizon_variance(values, horizon) == pytest.approx(by_hand)


@pytest.mark.parametrize("memory", [0.0, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("horizon", [3, 12])
def test_a_forecast_that_changes_slowly_seldom_seems_to_know_a_random_walk(
    horizon: int, memory: float
) -> None:
    """The t of noise has deviation 1 and is beyond 1.65 once in ten times, on either side.

    Each within three standard errors of 400 draws; Bartlett's weights alone give up to 1.2.
    """
    rng = np.random.default_rng(5)
    found = []
    for _ in range(400):
        outcome = np.convolve(rng.standard_normal(1000 + horizon), np.ones(horizon), "valid")[1:]
        forecast = np.ones(1000)
        if memory < 1.0:
            forecast = lfilter([1.0], [1.0, -memory], rng.standard_normal(1400))[400:]
        found.append(skill(forecast, outcome, horizon_bars=horizon).cw_t)
    assert np.std(found) < 1 + 3 / math.sqrt(2 * 400)
    assert np.mean(np.abs(found) > 1.65) < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 400)


def test_clark_west_finds_a_small_truth_and_not_noise() -> None:
    signal = RNG.standard_normal(20_000)
    outcome = 0.03 * signal + RNG.standard_normal(20_000)
    assert skill(0.03 * signal, outcome).cw_t > 2.5
    noise = 0.03 * RNG.standard_normal(20_000)
    assert abs(skill(noise, outcome).cw_t) < 3
    assert skill(noise, outcome).mse_skill < 0  # noise costs, which the test takes out


def test_clark_wests_t_is_that_of_the_gain_without_its_noise() -> None:
    forecast, outcome = RNG.standard_normal((2, 60))
    gained = outcome**2 - ((outcome - forecast) ** 2 - forecast**2)
    for horizon in (1, 5):
        found = skill(forecast, outcome, horizon_bars=horizon).cw_t
        assert found == pytest.approx(horizon_t(gained, horizon))


def test_the_standard_error_of_the_skill_is_that_of_the_mean_gain_over_the_last_prices_error() -> (
    None
):
    forecast, outcome = RNG.standard_normal((2, 60))
    gains = outcome**2 - (outcome - forecast) ** 2
    for horizon in (1, 5):
        found = skill(forecast, outcome, horizon_bars=horizon).mse_skill_se
        spread = math.sqrt(horizon_variance(gains, horizon) / 60)
        assert found == pytest.approx(spread / np.mean(outcome**2))


@pytest.mark.parametrize("horizon", [1, 12, 48])
def test_few_outcomes_have_skill_but_say_nothing_of_chance(horizon: int) -> None:
    """Of no more than the horizon, the variance is nearly 0, and the skill would look certain."""
    forecast, outcome = RNG.standard_normal((2, least_outcomes(horizon)))
    enough = skill(forecast, outcome, horizon_bars=horizon)
    assert math.isfinite(enough.cw_t)
    assert math.isfinite(enough.mse_skill_se)
    few = skill(forecast[1:], outcome[1:], horizon_bars=horizon)
    assert math.isnan(few.cw_t)
    assert math.isnan(few.mse_skill_se)
    assert math.isfinite(few.mse_skill)


def test_forecasters_are_scored_over_the_forecasts_that_they_gave() -> None:
    forecasts, outcome = RNG.standard_normal((3, 100)), RNG.standard_normal(100)
    forecasts[1, ::2] = math.nan
    forecasts[2] = math.nan
    whole, half, none = skills(forecasts, outcome)
    assert whole == skill(forecasts[0], outcome)
    assert half == skill(forecasts[1, 1::2], outcome[1::2])
    assert none.n == 0
    assert math.isnan(none.mse)
