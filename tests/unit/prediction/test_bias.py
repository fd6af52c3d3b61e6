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
    copy.restore(closed, orjson.loads(orjson.dumps(bias.state())))
    assert copy.value == bias.value != 0.0
    for again in (bias, copy):
        assert again.close(70 * BAR, 0.1) == 1e-5
        again.close(71 * BAR, 0.3)
    assert copy.value == bias.value


def by_bars(horizon: int = 1) -> BiasCorrection:
    return BiasCorrection(horizon_ms=horizon * BAR, horizon_bars=horizon)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("gaps", [{}, {10: 500}, {5: 7, 20: 2, 21: 3}])
def test_by_bars_a_gap_costs_no_error(horizon: int, gaps: dict[int, int]) -> None:
    """Each forecast meets the close of the bar `horizon` bars with ticks later."""
    bias = by_bars(horizon)
    ts = 0
    for number in range(30):
        ts += BAR * (1 + gaps.get(number, 0))
        bias.note(ts, -2e-4)
        bias.close(ts, 0.0)
    assert bias.value == pytest.approx(2e-4)
    assert len(bias._errors) == 30 - horizon


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
    copy.restore(closed, orjson.loads(orjson.dumps(bias.state())))
    assert copy.value == bias.value != 0.0
    assert list(copy._closed) == list(bias._closed)
