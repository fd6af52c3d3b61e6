from __future__ import annotations

import numpy as np
import pytest

from stream_app.prediction.bias import BIAS_LIMIT, BiasCorrection
from stream_app.scoring.chance import (
    BEYOND_CHANCE,
    least_outcomes,
    mean_t,
    overlapping_t,
    recent_outcomes,
)


def run(errors: list[float], horizon: int = 1) -> BiasCorrection:
    bias = BiasCorrection(horizon_bars=horizon)
    for error in errors:
        bias.take([error])
    return bias


@pytest.mark.parametrize("horizon", [1, 12])
def test_it_is_zero_before_there_are_enough_errors(horizon: int) -> None:
    least = least_outcomes(horizon)
    assert run([1e-4] * (least - 1), horizon).value == 0.0
    assert run([1e-4] * least, horizon).value == pytest.approx(1e-4)


def test_what_of_the_mean_may_be_chance_is_taken_off() -> None:
    errors = [1e-4, 3e-4] * 40
    left = 1 - (BEYOND_CHANCE / overlapping_t(np.array(errors), 1)) ** 2
    assert 0.5 < left < 1
    assert run(errors).value == pytest.approx(2e-4 * left)


def test_a_mean_within_three_standard_errors_of_zero_gives_none() -> None:
    noise = np.random.default_rng(3).normal(0, 1e-3, 288)
    noise += 2.5e-3 / np.sqrt(288) - noise.mean()
    assert 2 < mean_t(noise, 2) < 3
    assert run(noise.tolist()).value == 0.0


def test_overlapping_errors_are_no_more_than_they_are() -> None:
    """One step of 12 bars ahead is in 12 errors: as many errors, a twelfth of the knowledge."""
    steps = np.random.default_rng(0).normal(3e-4, 1e-3, 300)
    overlapping = np.convolve(steps, np.ones(12), "valid") / 12
    assert run(overlapping.tolist(), 1).value > 0
    assert run(overlapping.tolist(), 12).value < run(overlapping.tolist(), 1).value


def test_noise_costs_next_to_nothing_and_a_constant_error_is_mostly_removed() -> None:
    noise = np.random.default_rng(11).normal(0, 1e-3, 20_000)

    def cost(planted: float) -> float:
        """By how much the correction raises the mean squared error, beside that of none."""
        bias = BiasCorrection(horizon_bars=1)
        left = []
        for error in (noise + planted).tolist():
            left.append(error - bias.value)
            bias.take([error])
        return float(np.square(left[288:]).mean() / np.square(noise[288:] + planted).mean() - 1)

    assert abs(cost(0.0)) < 0.0002
    assert cost(5e-4) < -0.12  # of 0.25 / 1.25 = 0.2 that a known error would give


@pytest.mark.parametrize("horizon", [3, 12])
def test_noise_over_overlapping_horizons_costs_next_to_nothing_either(horizon: int) -> None:
    """Of 24 independent errors a plain t is beyond 3 far more often than once in 370 times."""
    gains = []
    for seed in range(16):
        steps = np.random.default_rng(seed).normal(0, 1e-3, 6000)
        errors = np.convolve(steps, np.ones(horizon), "valid")
        bias, values = BiasCorrection(horizon_bars=horizon), np.zeros(len(errors))
        for at in range(horizon, len(errors), horizon // 3):
            bias.take(errors[max(0, at - horizon - horizon // 3) : at - horizon])
            values[at : at + horizon // 3] = bias.value
        gains.append(np.mean(2 * values * errors - values**2) / np.mean(errors**2))
    assert np.mean(gains) > -0.0003


def test_errors_that_scatter_around_zero_give_none() -> None:
    assert run([3e-4, -2.9e-4] * 40).value == 0.0
    assert run([0.0] * 80).value == 0.0


def test_only_the_last_errors_count() -> None:
    assert run([5e-4] * 60 + [1e-4] * recent_outcomes(1)).value == pytest.approx(1e-4)


def test_it_is_bounded_both_ways() -> None:
    assert run([0.5] * 60).value == BIAS_LIMIT
    assert run([-0.5] * 60).value == -BIAS_LIMIT


def test_errors_taken_at_once_give_what_they_give_one_by_one() -> None:
    errors = np.random.default_rng(5).normal(4e-4, 1e-3, 700).tolist()
    bias = BiasCorrection(horizon_bars=1)
    bias.take(errors)
    assert bias.value == run(errors).value != 0.0


def test_most_of_a_constant_error_of_five_basis_points_is_gone_within_a_day() -> None:
    """Errors at five minutes deviate by 15 basis points; a day has 288 of them."""
    left = []
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0, 15e-4, 288)
        left.append(5e-4 - run((noise + 5e-4).tolist()).value)
    assert np.mean(left) < 0.4 * 5e-4
