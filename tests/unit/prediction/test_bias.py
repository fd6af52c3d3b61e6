from __future__ import annotations

import numpy as np
import orjson
import pytest

from stream_app.prediction.bias import (
    BEYOND_CHANCE,
    BIAS_ERRORS,
    BIAS_LIMIT,
    BIAS_MIN_ERRORS,
    BiasCorrection,
)
from stream_app.scoring.chance import mean_t

BAR = 60_000


def run(errors: list[float], horizon: int = 1) -> BiasCorrection:
    """Bars whose closes never move, forecast as `-error`, so that each error is as given."""
    bias = BiasCorrection(horizon_ms=horizon * BAR, horizon_bars=horizon)
    for number, error in enumerate(errors):
        bias.note(number * BAR, -error)
        bias.close(number * BAR, 0.0)
    for number in range(len(errors), len(errors) + horizon):
        bias.close(number * BAR, 0.0)
    return bias


def test_it_is_zero_before_there_are_enough_errors() -> None:
    assert run([1e-4] * (BIAS_MIN_ERRORS - 1)).value == 0.0


def test_it_is_the_mean_of_errors_that_agree() -> None:
    assert run([2e-4] * BIAS_MIN_ERRORS).value == pytest.approx(2e-4)


def test_what_of_the_mean_may_be_chance_is_taken_off() -> None:
    errors = [1e-4, 3e-4] * 40
    left = 1 - (BEYOND_CHANCE / mean_t(np.array(errors), 2)) ** 2
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
        bias = BiasCorrection(horizon_ms=BAR, horizon_bars=1)
        left = []
        for number, error in enumerate(noise + planted):
            left.append(error - bias.value)
            bias.note(number * BAR, -error)
            bias.close(number * BAR, 0.0)
        return float(np.square(left[288:]).mean() / np.square(noise[288:] + planted).mean() - 1)

    assert abs(cost(0.0)) < 0.0002
    assert cost(5e-4) < -0.12  # of 0.25 / 1.25 = 0.2 that a known error would give


def test_errors_that_scatter_around_zero_give_none() -> None:
    assert run([3e-4, -2.9e-4] * 40).value == 0.0
    assert run([0.0] * 80).value == 0.0


@pytest.mark.parametrize("horizon", [1, 3])
def test_it_holds_for_any_horizon(horizon: int) -> None:
    assert run([2e-4] * 60, horizon).value == pytest.approx(2e-4)


def test_only_the_last_errors_count() -> None:
    assert run([5e-4] * 60 + [1e-4] * BIAS_ERRORS).value == pytest.approx(1e-4)


def test_it_is_bounded_both_ways() -> None:
    assert run([0.5] * 60).value == BIAS_LIMIT
    assert run([-0.5] * 60).value == -BIAS_LIMIT


def test_a_forecast_whose_horizon_bar_never_came_gives_no_error() -> None:
    bias = BiasCorrection(horizon_ms=BAR, horizon_bars=1)
    for number in range(0, 200, 2):  # every second bar is empty
        bias.note(number * BAR, 1e-3)
        bias.close(number * BAR, 0.0)
    assert bias.value == 0.0


def test_it_comes_back_from_the_closed_bars_and_its_state() -> None:
    bias = BiasCorrection(horizon_ms=BAR, horizon_bars=1)
    closed = [(number * BAR, number * 1e-5, -1e-4) for number in range(90)]
    for ts_open, log_close, forecast in closed:
        bias.note(ts_open, forecast)
        assert bias.close(ts_open, log_close) == forecast
    bias.note(90 * BAR, 1e-5)
    copy = BiasCorrection(horizon_ms=BAR, horizon_bars=1)
    copy.restore([(*item, False) for item in closed], orjson.loads(orjson.dumps(bias.state())))
    assert copy.value == bias.value != 0.0
    for again in (bias, copy):
        assert again.close(90 * BAR, 0.1) == 1e-5
        again.close(91 * BAR, 0.3)
    assert copy.value == bias.value


def by_bars(horizon: int = 1) -> BiasCorrection:
    return BiasCorrection(horizon_ms=horizon * BAR, horizon_bars=horizon, horizon_by="bars")


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("gaps", [{}, {10: 500}, {5: 7, 20: 2, 21: 3}])
def test_by_bars_a_gap_costs_no_error(horizon: int, gaps: dict[int, int]) -> None:
    """Each forecast meets the close of the bar `horizon` bars with ticks later."""
    bias = by_bars(horizon)
    ts = 0
    for number in range(100):
        ts += BAR * (1 + gaps.get(number, 0))
        bias.note(ts, -2e-4)
        bias.close(ts, 0.0)
    assert bias.value == pytest.approx(2e-4)
    assert len(bias._errors) == 100 - horizon


def test_by_bars_a_bar_without_a_forecast_keeps_its_place() -> None:
    bias = by_bars(2)
    for number in range(40):
        if number % 2:
            bias.note(number * BAR, -number * 1e-6)
        bias.close(number * BAR, 0.0)
    assert list(bias._errors) == pytest.approx([n * 1e-6 for n in range(1, 38, 2)])


def test_by_bars_it_comes_back_from_the_closed_bars() -> None:
    bias = by_bars(3)
    closed = [((number + 50 * (number // 20)) * BAR, number * 1e-5, -1e-4) for number in range(70)]
    for ts_open, log_close, forecast in closed:
        bias.note(ts_open, forecast)
        bias.close(ts_open, log_close)
    copy = by_bars(3)
    copy.restore([(*item, False) for item in closed], orjson.loads(orjson.dumps(bias.state())))
    assert copy.value == bias.value != 0.0
    assert list(copy._closed) == list(bias._closed)


def test_a_forecast_across_a_jump_gives_no_error() -> None:
    with_it = BiasCorrection(horizon_ms=BAR, horizon_bars=1)
    without = BiasCorrection(horizon_ms=BAR, horizon_bars=1)
    for bias, level in ((with_it, 4.6), (without, 0.0)):
        for number in range(80):
            bias.note(number * BAR, -2e-4)
            jumped = number == 60 and level > 0
            bias.close(number * BAR, level if number >= 60 else 0.0, jumped=jumped)
    assert with_it.value == pytest.approx(without.value, rel=1e-6)
    assert with_it.value == pytest.approx(2e-4)
