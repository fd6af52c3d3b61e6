from __future__ import annotations

import json
import math

import numpy as np
import pytest

from stream_app.prediction.intervals import (
    LEAST_LARGEST,
    MOST_SCORE,
    IntervalTrackers,
    returns_of,
)

LEVELS = (0.5, 0.9)


def new(horizon: int = 1, levels: tuple[float, ...] = LEVELS) -> IntervalTrackers:
    return IntervalTrackers(levels=levels, horizon_bars=horizon)


def run(
    found: IntervalTrackers, outcomes: list[float], *, volatility: float = 0.01, late: int = 1
) -> list[bool]:
    """Feed outcomes of forecasts of 0, each `late` forecasts later; whether 0.9 held each."""
    said = []
    for number in range(len(outcomes)):
        said.append(returns_of(found.bounds, published=0.0, volatility=volatility))
        if number >= late:
            at = number - late
            found.take(outcomes[at], published=0.0, volatility=volatility, intervals=said[at])
    return [low <= came <= high for came, (_, (_, low, high)) in zip(outcomes, said, strict=True)]


def noise(count: int, seed: int = 1, scale: float = 0.01) -> list[float]:
    drawn: list[float] = (np.random.default_rng(seed).standard_t(4, count) * scale).tolist()
    return drawn


@pytest.mark.parametrize("scale", [0.002, 0.01, 0.05])
def test_the_share_inside_holds_though_the_volatility_forecast_is_wrong(scale: float) -> None:
    inside = run(new(), noise(6000, scale=scale))
    assert np.mean(inside[1000:]) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("horizon", [3, 12])
def test_it_holds_with_overlapping_outcomes_and_late_feedback(horizon: int) -> None:
    steps = np.random.default_rng(2).standard_normal(9000) * 0.01
    outcomes = np.convolve(steps, np.ones(horizon), "valid").tolist()
    inside = run(new(horizon), outcomes, volatility=0.01 * math.sqrt(horizon), late=horizon + 1)
    assert np.mean(inside[500:]) == pytest.approx(0.9, abs=0.015)


def test_each_side_has_its_own_quantile() -> None:
    skewed = [value - 0.01 for value in np.random.default_rng(3).exponential(0.01, 4000).tolist()]
    found = new()
    run(found, skewed)
    _, (_, low, high) = found.bounds
    assert low == pytest.approx(1 - -math.log(0.95) * 1, abs=0.3)
    assert high == pytest.approx(-math.log(0.05) - 1, abs=0.5)


def test_intervals_nest_and_hold_the_forecast_whatever_came() -> None:
    random = np.random.default_rng(4)
    found = new(levels=(0.1, 0.5, 0.9, 0.99))
    for value in (random.standard_normal(3000) * 10 ** random.uniform(-6, 3, 3000)).tolist():
        said = returns_of(found.bounds, published=0.001, volatility=0.01)
        low = high = 0.0
        for _, below, above in found.bounds:
            assert low <= below <= MOST_SCORE
            assert high <= above <= MOST_SCORE
            low, high = below, above
        found.take(value, published=0.001, volatility=0.01, intervals=said)
        # As `published.py` makes prices of them, at the largest volatility.
        assert all(1e15 * math.exp(-low) > 0 for _, low, _ in found.bounds)
        assert all(1e15 * math.exp(high) < math.inf for *_, high in found.bounds)


def test_one_error_of_the_feed_moves_the_bounds_little_and_not_for_long() -> None:
    calm, hit = new(), new()
    before = noise(3000)
    run(calm, before)
    run(hit, [*before[:-1], 4.6, 0.0])
    reach = hit.bounds[1].high - calm.bounds[1].high
    assert 0 < reach < 0.6
    run(hit, noise(1500, seed=8))
    assert hit.bounds[1].high == pytest.approx(calm.bounds[1].high, rel=0.25)


def test_the_integrator_takes_back_what_has_long_been_missed() -> None:
    """At a horizon of 288 bars the rate is small: without the integrator it would take days."""
    found = new(288)
    outcomes = noise(600, scale=0.05)
    run(found, outcomes)
    _, *trackers = found.state()["trackers"][1]
    for bound, (quantile, excess, count) in zip(found.bounds[1][1:], trackers, strict=True):
        assert count == 599
        assert excess > 0
        assert bound > quantile + 0.02


@pytest.mark.parametrize("still", [500, 4000])
def test_a_price_that_stood_still_is_not_paid_back_with_narrow_intervals(still: int) -> None:
    """What an interval could not but hold is no reason to hold less afterwards."""
    found = new()
    run(found, [0.0] * still)
    outcomes = noise(576)
    inside = {0.5: 0, 0.9: 0}
    for number, came in enumerate(outcomes):
        said = returns_of(found.bounds, published=0.0, volatility=0.01)
        found.take(came, published=0.0, volatility=0.01, intervals=said)
        for level, low, high in said:
            inside[level] += number >= 288 and low <= came <= high
    assert inside[0.5] / 288 == pytest.approx(0.5, abs=0.06)
    assert inside[0.9] / 288 == pytest.approx(0.9, abs=0.06)


def test_a_price_that_ran_away_is_not_paid_back_with_wide_intervals() -> None:
    found = new()
    run(found, [0.5] * 4000)  # fifty volatilities, beyond any bound
    run(found, noise(2000))
    _, (_, _, high) = found.bounds
    assert high < 4


def test_the_largest_score_is_forgotten_but_never_below_its_least() -> None:
    found = new()
    run(found, [1.0, *[0.0] * 288, 0.0])
    assert found.state()["largest"] == pytest.approx(MOST_SCORE / 2, rel=0.01)
    run(found, [0.0] * 5000)
    assert found.state()["largest"] == LEAST_LARGEST


def test_a_level_that_was_not_published_then_learns_nothing() -> None:
    found = new(levels=(0.5, 0.8))
    found.take(1.0, published=0.0, volatility=0.01, intervals=[(0.5, -0.01, 0.01), (0.9, -1, 1)])
    trackers = {level: above for level, _, above in found.state()["trackers"]}
    assert trackers[0.5][2] == 1
    assert trackers[0.8][2] == 0


def test_its_state_comes_back_to_the_bit_and_new_levels_start_cold() -> None:
    found = new()
    run(found, noise(500))
    other = new()
    other.restore(json.loads(json.dumps(found.state())))
    assert other.state() == found.state()
    assert other.bounds == found.bounds
    wider = new(levels=(0.5, 0.99))
    wider.restore(found.state())
    assert wider.bounds[0] == found.bounds[0]
    assert wider.state()["trackers"][1][1][2] == 0


@pytest.mark.parametrize("level", [1e-9, 1 - 2**-53])
def test_any_level_between_0_and_1_has_a_finite_bound(level: float) -> None:
    ((_, low, high),) = new(levels=(level,)).bounds
    assert 0 <= low == high < MOST_SCORE
