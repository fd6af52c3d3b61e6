from __future__ import annotations

import orjson
import pytest

from stream_app.prediction.bias import BIAS_ERRORS, BIAS_LIMIT, BIAS_MIN_ERRORS, BiasCorrection

BAR = 60_000


def run(errors: list[float], horizon: int = 1) -> BiasCorrection:
    """Bars whose closes never move, forecast as `-error`, so that each error is as given."""
    bias = BiasCorrection(horizon_ms=horizon * BAR)
    for number, error in enumerate(errors):
        bias.note(number * BAR, -error)
        bias.close(number * BAR, 0.0)
    for number in range(len(errors), len(errors) + horizon):
        bias.close(number * BAR, 0.0)
    return bias


def test_it_is_zero_before_there_are_enough_errors() -> None:
    assert run([1e-4] * (BIAS_MIN_ERRORS - 1)).value == 0.0


def test_it_is_the_mean_of_errors_that_agree() -> None:
    assert run([2e-4] * 12).value == pytest.approx(2e-4)


def test_the_mean_is_shrunk_by_what_of_it_may_be_chance() -> None:
    # Mean 2e-4, variance 12/11 1e-8, so 1 - (12/11 1e-8) / (12 * 4e-8) of it is left.
    assert run([1e-4] * 6 + [3e-4] * 6).value == pytest.approx(2e-4 * (1 - 1 / 44))


def test_errors_that_scatter_around_zero_give_none() -> None:
    assert run([3e-4, -2.9e-4] * 10).value == 0.0
    assert run([0.0] * 20).value == 0.0


@pytest.mark.parametrize("horizon", [1, 3])
def test_it_holds_for_any_horizon(horizon: int) -> None:
    assert run([2e-4] * 20, horizon).value == pytest.approx(2e-4)


def test_only_the_last_errors_count() -> None:
    assert run([5e-4] * 30 + [1e-4] * BIAS_ERRORS).value == pytest.approx(1e-4)


def test_it_is_bounded_both_ways() -> None:
    assert run([0.5] * 20).value == BIAS_LIMIT
    assert run([-0.5] * 20).value == -BIAS_LIMIT


def test_a_forecast_whose_horizon_bar_never_came_gives_no_error() -> None:
    bias = BiasCorrection(horizon_ms=BAR)
    for number in range(0, 60, 2):  # every second bar is empty
        bias.note(number * BAR, 1e-3)
        bias.close(number * BAR, 0.0)
    assert bias.value == 0.0


def test_it_comes_back_from_the_closed_bars_and_its_state() -> None:
    bias = BiasCorrection(horizon_ms=BAR)
    closed = [(number * BAR, number * 1e-5, -1e-4) for number in range(70)]
    for ts_open, log_close, forecast in closed:
        bias.note(ts_open, forecast)
        assert bias.close(ts_open, log_close) == forecast
    bias.note(70 * BAR, 1e-5)
    copy = BiasCorrection(horizon_ms=BAR)
    copy.restore([(*item, False) for item in closed], orjson.loads(orjson.dumps(bias.state())))
    assert copy.value == bias.value != 0.0
    for again in (bias, copy):
        assert again.close(70 * BAR, 0.1) == 1e-5
        again.close(71 * BAR, 0.3)
    assert copy.value == bias.value


def test_a_forecast_across_a_jump_gives_no_error() -> None:
    with_it, without = BiasCorrection(horizon_ms=BAR), BiasCorrection(horizon_ms=BAR)
    for bias, level in ((with_it, 4.6), (without, 0.0)):
        for number in range(40):
            bias.note(number * BAR, -2e-4)
            jumped = number == 30 and level > 0
            bias.close(number * BAR, level if number >= 30 else 0.0, jumped=jumped)
    assert with_it.value == pytest.approx(without.value, rel=1e-6)
    assert with_it.value == pytest.approx(2e-4)
