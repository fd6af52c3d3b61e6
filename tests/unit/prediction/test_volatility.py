from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest

from stream_app.prediction.intervals import IntervalTrackers, returns_of
from stream_app.prediction.volatility import LEAST, MOST, VolatilityForecast

BAR = 300_000
HOUR = 3_600_000
DAY = 288


def new(horizon: int = 1, start: float = 1e-3) -> VolatilityForecast:
    return VolatilityForecast(bar_ms=BAR, horizon_bars=horizon, start=start)


def bars(
    deviations: list[float], seed: int = 1, steps: int = 50
) -> Iterator[tuple[float, float, float]]:
    """High, low and close of bars of a random walk in so many steps with these deviations."""
    random = np.random.default_rng(seed)
    close = 4.0
    for deviation in deviations:
        path = close + np.cumsum(random.standard_normal(steps)) * deviation / math.sqrt(steps)
        yield max(close, path.max()), min(close, path.min()), float(path[-1])
        close = float(path[-1])


def fed(found: VolatilityForecast, deviations: list[float], first: int = 0) -> float:
    """Feed bars and return the log close of the last."""
    close = 0.0
    for number, (high, low, close) in enumerate(bars(deviations), first):
        found.close(number * BAR, high, low, close)
    return close


def forecast(found: VolatilityForecast, number: int) -> float:
    """At the opening of a bar, before it has moved."""
    return found.at(number * BAR, -math.inf, math.inf, math.inf)


def test_the_cold_start_gives_way_within_bars() -> None:
    found = new()
    assert forecast(found, 0) == 1e-3
    close = fed(found, [2e-4] * 24)
    assert found.at(24 * BAR, close, close, math.inf) == pytest.approx(2.2e-4, rel=0.3)


@pytest.mark.parametrize("horizon", [1, 12, 288])
def test_a_random_walk_has_its_own_deviation_by_the_square_root_of_time(horizon: int) -> None:
    found = new(horizon)
    close = fed(found, [1e-3] * 3 * DAY)
    expected = 1e-3 * math.sqrt(horizon)
    assert found.at(3 * DAY * BAR, close, close, math.inf) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("steps", [1, 2, 5, 300])
def test_few_ticks_a_bar_make_no_smaller_forecast(steps: int) -> None:
    found, ahead = new(), []
    for number, (high, low, close) in enumerate(bars([1e-3] * 6 * DAY, steps=steps)):
        ahead.append(forecast(found, number))
        found.close(number * BAR, high, low, close)
    # The range alone would make it 0.5 of the deviation at one tick a bar, and 0.72 at five.
    assert np.mean(ahead[DAY // 2 : DAY]) == pytest.approx(1e-3, rel=0.2)
    assert np.mean(ahead[2 * DAY :]) == pytest.approx(1e-3, rel=0.05)


def test_intervals_an_hour_ahead_hold_what_they_say_of_one_tick_a_bar() -> None:
    inside = []
    for seed in range(6):
        found, trackers = new(12), IntervalTrackers(levels=(0.9,), horizon_bars=12)
        closes, said = [], []
        for number, (high, low, close) in enumerate(bars([1e-3] * 4 * DAY, seed, steps=1)):
            ahead = found.at((number + 1) * BAR - 1, high, low, math.inf)
            said.append((ahead, returns_of(trackers.bounds, published=0.0, volatility=ahead)))
            found.close(number * BAR, high, low, close)
            closes.append(close)
            if number >= 12:
                came, (then, intervals) = close - closes[-13], said[-13]
                trackers.take(came, published=0.0, volatility=then, intervals=intervals)
                if number >= DAY:
                    inside.append(intervals[0][1] <= came <= intervals[0][2])
    # By the range alone it was 0.84.
    assert np.mean(inside) == pytest.approx(0.9, abs=0.025)


def test_a_price_that_bounces_inside_bars_is_not_taken_for_a_calm_one() -> None:
    found = new()
    for number in range(10 * DAY):
        found.close(number * BAR, 4.0 + 1e-3, 4.0, 4.0)
    range_alone = 1e-3 / math.sqrt(8 / math.pi)
    assert forecast(found, 10 * DAY) == pytest.approx(range_alone, rel=0.05)


def test_a_state_from_before_ranges_were_compared_is_taken_over() -> None:
    found, other = new(), new()
    fed(found, [1e-3] * 300)
    state = found.state()
    del state["reach"]
    other.restore(state)
    assert other.state()["levels"] == state["levels"]
    assert forecast(other, 300) < forecast(found, 300)


def test_bars_that_stand_still_and_states_without_it_do_not_slow_down_what_ranges_tell() -> None:
    """A quiet symbol has the fewest ticks a bar: the rule is for it."""
    still, old, fresh = new(), new(), new()
    for number in range(2 * DAY):
        still.close(number * BAR, 4.0, 4.0, 4.0)
    fed(old, [1e-3] * 4 * DAY)
    state = old.state()
    del state["reach"]
    old.restore(state)
    told = {}
    for name, found in (("still", still), ("old", old), ("fresh", fresh)):
        for number, (high, low, close) in enumerate(bars([1e-3] * DAY, steps=1)):
            found.close((4 * DAY + number) * BAR, high, low, close)
        _, returns, ranges = found.state()["reach"]
        told[name] = returns / ranges
    assert told["still"] == pytest.approx(told["fresh"], rel=0.05)
    assert told["old"] == pytest.approx(told["fresh"], rel=0.05)


def test_a_step_by_three_is_mostly_made_in_36_bars() -> None:
    found = new()
    before = fed(found, [1e-3] * 600)
    calm = found.at(600 * BAR, before, before, math.inf)
    after = fed(found, [1e-3] * 600 + [3e-3] * 36)
    assert found.at(636 * BAR, after, after, math.inf) > 2.2 * calm


def test_a_wild_hour_is_known_before_it_comes() -> None:
    found = new()
    day = [3e-3 if 14 <= number // 12 < 15 else 1e-3 for number in range(DAY)]
    close = fed(found, day * 10)
    end = 10 * DAY
    ahead = {hour: forecast(found, end + hour * 12) for hour in (9, 14)}
    assert ahead[14] / ahead[9] == pytest.approx(2.7, abs=0.4)
    # The last bar before the hour looks into it.
    assert forecast(found, end + 14 * 12 - 1) == pytest.approx(ahead[14])
    assert close != 0.0


def test_one_day_does_not_make_a_pattern() -> None:
    found = new()
    fed(found, [3e-3 if 14 <= number // 12 < 15 else 1e-3 for number in range(DAY)])
    assert forecast(found, DAY + 14 * 12) / forecast(found, DAY + 9 * 12) < 2.0


def test_the_forming_bar_counts_as_far_as_it_has_come() -> None:
    found = new()
    close = fed(found, [1e-3] * 311)
    opened = 311 * BAR  # the last of its hour: what it says of that does not matter ahead
    usual = found.at(opened, close, close, math.inf)
    late = found.at(opened + BAR - 1, close + 6e-3, close, math.inf)
    fresh = new()
    fed(fresh, [1e-3] * 311)
    # How far ranges reach is known of closed bars alone: this one does not change it.
    _, returns, ranges = fresh.state()["reach"]
    end = close + 6e-3 * returns / ranges / 2
    fresh.close(opened, close + 6e-3, close, end)
    # A bar as good as over counts as a closed one.
    assert late == pytest.approx(fresh.at(opened + BAR, end, end, math.inf), rel=1e-3)
    assert late > 1.2 * usual
    # Half a bar's expected range changes nothing much; a step that is not believed, nothing.
    half = found.at(opened + BAR // 2, close + 1.596e-3 * math.sqrt(0.5), close, math.inf)
    assert half == pytest.approx(usual, rel=0.05)
    assert found.at(opened + BAR - 1, close + 5.0, close, 1e-2) == usual


@pytest.mark.parametrize("hours", [2, 49])
def test_a_closed_market_says_nothing_and_a_jump_neither(hours: int) -> None:
    found = new()
    close = fed(found, [1e-3] * 300)
    state = found.state()
    found.close(300 * BAR + hours * HOUR, close + 0.1, close, close + 0.1)
    assert found.state()["levels"] == state["levels"]
    found.close(301 * BAR + hours * HOUR, close + 4.7, close, close + 4.7, jumped=True)
    assert found.state()["levels"] == state["levels"]


def test_a_short_gap_moves_by_the_square_root_of_time() -> None:
    found, beside = new(), new()
    close = fed(found, [1e-3] * 300)
    fed(beside, [1e-3] * 300)
    found.close(303 * BAR, close + 2e-3, close, close)
    beside.close(300 * BAR, close + 1e-3, close, close)
    assert found.state()["levels"] == pytest.approx(beside.state()["levels"])


def test_a_price_that_stands_still_or_explodes_keeps_it_within_bounds() -> None:
    found = new(12)
    for number in range(5000):
        found.close(number * BAR, 4.0, 4.0, 4.0)
    assert forecast(found, 5000) == pytest.approx(LEAST * math.sqrt(12))
    wild = new(288)
    fed(wild, [0.5] * 50)
    assert forecast(wild, 50) == MOST
    assert wild.at(51 * BAR - 1, 9.0, -9.0, math.inf) == MOST


def test_its_state_comes_back_to_the_bit() -> None:
    found, other = new(12), new(12)
    close = fed(found, [1e-3, 3e-3, 2e-3] * 200)
    other.restore(json.loads(json.dumps(found.state())))
    for each in (found, other):
        each.close(600 * BAR, close + 1e-3, close, close)
    assert other.state() == found.state()
    at = (601 * BAR + 7, close + 3e-4, close, math.inf)
    assert other.at(*at) == found.at(*at)
    empty = new()
    empty.restore(json.loads(json.dumps(new().state())))
    assert empty.state() == new().state()
