from __future__ import annotations

from collections.abc import Sequence

import pytest

from stream_app.messages.schemas import BarForecasts
from stream_app.prediction.outcomes import ClosedForecasts, Outcome, Outcomes

BAR = 60_000


def by_time(horizon: int = 1) -> Outcomes:
    return Outcomes(horizon_ms=horizon * BAR, horizon_bars=horizon)


def by_bars(horizon: int = 1) -> Outcomes:
    return Outcomes(horizon_ms=horizon * BAR, horizon_bars=horizon, horizon_by="bars")


def bar(number: int, log_close: float = 0.0, *, jumped: bool = False) -> ClosedForecasts:
    """A bar whose forecast names it."""
    return ClosedForecasts(number * BAR, log_close, BarForecasts(ensemble=float(number)), jumped)


def closed(outcomes: Outcomes, bars: Sequence[ClosedForecasts]) -> list[Outcome]:
    return [found for each in bars if (found := outcomes.close(each)) is not None]


def made_for(outcomes: list[Outcome]) -> list[float]:
    return [each.forecasts.ensemble for each in outcomes]


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_forecast_meets_the_close_one_horizon_later(horizon: int) -> None:
    found = closed(by_time(horizon), [bar(number, number * 0.01) for number in range(10)])
    assert made_for(found) == list(range(10 - horizon))
    for each in found:
        assert each.ts_target == each.ts_open + horizon * BAR
        assert each.log_return == pytest.approx(horizon * 0.01)
        assert each.error == each.log_return - each.forecasts.ensemble


def test_by_time_a_forecast_whose_horizon_bar_never_came_has_no_outcome() -> None:
    assert closed(by_time(), [bar(number) for number in range(0, 200, 2)]) == []


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("gaps", [{}, {10: 500}, {5: 7, 20: 2, 21: 3}])
def test_by_bars_a_gap_costs_no_outcome(horizon: int, gaps: dict[int, int]) -> None:
    """Each forecast meets the close of the bar `horizon` bars with ticks later."""
    numbers, at = [], 0
    for number in range(50):
        at += 1 + gaps.get(number, 0)
        numbers.append(at)
    found = closed(by_bars(horizon), [bar(number) for number in numbers])
    assert made_for(found) == numbers[:-horizon]
    assert [each.ts_target for each in found] == [at * BAR for at in numbers[horizon:]]


@pytest.mark.parametrize("outcomes", [by_time(2), by_bars(2)])
def test_a_bar_without_a_forecast_keeps_its_place(outcomes: Outcomes) -> None:
    found = closed(
        outcomes,
        [
            bar(number) if number % 2 else bar(number)._replace(forecasts=None)
            for number in range(20)
        ],
    )
    assert made_for(found) == list(range(1, 18, 2))


@pytest.mark.parametrize("outcomes", [by_time(3), by_bars(3)])
def test_a_forecast_across_a_jump_has_no_outcome(outcomes: Outcomes) -> None:
    found = closed(
        outcomes,
        [bar(number, 4.6 if number >= 10 else 0.0, jumped=number == 10) for number in range(20)],
    )
    assert made_for(found) == [*range(7), *range(10, 17)]
    assert {each.log_return for each in found} == {0.0}
