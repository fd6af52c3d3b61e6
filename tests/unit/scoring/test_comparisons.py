"""Diebold-Mariano, calibration and gains, against what can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_app.scoring.calibration import calibration, slope
from stream_app.scoring.chance import horizon_error, horizon_variance, least_outcomes
from stream_app.scoring.diebold_mariano import diebold_mariano
from stream_app.scoring.gains import cumulative_gain, fifths, trailing_volatility

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("horizon", [1, 3])
def test_diebold_mariano_is_what_the_papers_say(horizon: int) -> None:
    error, other = RNG.standard_normal(60), 1.2 * RNG.standard_normal(60)
    loss = other**2 - error**2
    plain = loss.mean() / math.sqrt(horizon_variance(loss, horizon) / 60)
    factor = math.sqrt((60 + 1 - 2 * horizon + horizon * (horizon - 1) / 60) / 60)
    found = diebold_mariano(error, other, horizon_bars=horizon)
    assert found.t == pytest.approx(plain * factor)
    assert diebold_mariano(other, error, horizon_bars=horizon).t == pytest.approx(-found.t)


def test_diebold_mariano_with_absolute_errors_and_its_p() -> None:
    from scipy.stats import t as student

    error, other = RNG.standard_normal(50), 2.0 * RNG.standard_normal(50)
    found = diebold_mariano(error, other, power=1)
    assert found.p == pytest.approx(2 * student.sf(abs(found.t), 49))
    assert found.p < 0.05


def test_equal_forecasts_overlapping_as_they_may_seldom_differ() -> None:
    """Errors over 12 bars share 11 of them: without the lag far more would seem to differ."""
    seem = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        steps = rng.standard_normal((2, 2011))
        error, other = (np.convolve(each, np.ones(12), "valid") for each in steps)
        seem.append(diebold_mariano(error, other, horizon_bars=12).p < 0.05)
    assert np.mean(seem) < 0.13


def test_what_cannot_be_compared() -> None:
    assert math.isnan(diebold_mariano(np.ones(1), np.zeros(1)).t)
    assert math.isnan(diebold_mariano(np.ones(0), np.zeros(0)).t)
    with pytest.raises(ValueError, match="do not match"):
        diebold_mariano(np.ones(3), np.ones(4))


def test_calibration_finds_forecasts_that_are_too_large() -> None:
    forecast = RNG.standard_normal(20_000)
    outcome = 0.5 * forecast + 0.1 * RNG.standard_normal(20_000)
    bins = calibration(forecast, outcome)
    assert [each.n for each in bins] == [2000] * 10
    for each in bins:
        assert abs(each.outcome - 0.5 * each.forecast) < 4 * each.standard_error + 0.01
    found = slope(forecast, outcome)
    assert abs(found.value - 0.5) < 4 * found.standard_error
    # White's standard error of homoscedastic noise is that of least squares.
    assert found.standard_error == pytest.approx(0.1 / math.sqrt(20_000), rel=0.1)
    assert math.isnan(slope(np.zeros(3), np.ones(3)).value)
    assert len(calibration(np.zeros(50), RNG.standard_normal(50))) == 1


@pytest.mark.parametrize("horizon", [1, 12, 48])
def test_few_outcomes_conclude_nothing(horizon: int) -> None:
    least = least_outcomes(horizon)
    enough, few = RNG.standard_normal((2, least)), RNG.standard_normal((2, least - 1))
    for given, is_known in ((enough, True), (few, False)):
        (whole,) = calibration(*given, bins=1, horizon_bars=horizon)
        figures = (
            diebold_mariano(*given, horizon_bars=horizon).t,
            diebold_mariano(*given, horizon_bars=horizon).p,
            slope(*given, horizon_bars=horizon).standard_error,
            whole.standard_error,
        )
        assert np.isfinite(figures).tolist() == [is_known] * 4


def test_the_mean_of_a_bin_of_neighbours_is_not_too_certain() -> None:
    """A forecast that never changes has one bin, whose outcomes overlap: its means vary as far."""
    means, errors = [], []
    for seed in range(400):
        steps = np.random.default_rng(seed).standard_normal(1011)
        outcome = np.convolve(steps, np.ones(12), "valid")
        (whole,) = calibration(np.ones(1000), outcome, horizon_bars=12)
        assert whole.standard_error == pytest.approx(horizon_error(outcome, 12))
        means.append(whole.outcome)
        errors.append(whole.standard_error)
    assert np.mean(np.square(errors)) > 0.9 * np.var(means)


def test_gains_add_up_to_the_difference_of_the_errors() -> None:
    forecast, outcome = RNG.standard_normal(100), RNG.standard_normal(100)
    saved = cumulative_gain(forecast, outcome)
    assert saved[-1] == pytest.approx(np.abs(outcome).sum() - np.abs(outcome - forecast).sum())


def test_the_trailing_volatility_knows_no_later_price() -> None:
    price = np.exp(np.cumsum(0.01 * RNG.standard_normal(100)))
    whole = trailing_volatility(price, 12)
    assert whole[:60].tolist()[1:] == pytest.approx(
        trailing_volatility(price[:60], 12).tolist()[1:]
    )
    steps = np.diff(np.log(price))
    assert whole[50] == pytest.approx(math.sqrt(np.square(steps[38:50]).mean()))


def test_fifths_are_even() -> None:
    assert np.bincount(fifths(RNG.standard_normal(1000))).tolist() == [200] * 5
    assert fifths(np.full(3, np.nan)).tolist() == [-1, -1, -1]
