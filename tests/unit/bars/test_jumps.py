"""Which steps in price are believed, and what a jump does to bars and features."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_app.bars.closed_bars import ClosedBar
from stream_app.bars.contexts import bar_vectors
from stream_app.bars.features import LOOKBACK, BarColumns
from stream_app.bars.jumps import (
    JUMP,
    LEAST_LIMIT,
    LEAST_MOVES,
    MOST_LIMIT,
    RECENT_BARS,
    limit_of,
    usual_move,
)
from stream_app.bars.open_bar import OpenBar
from stream_app.bars.window import Window
from tests.builders import START_MS

BAR_MS = 60_000


def moves(count: int, seed: int = 1) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.abs(np.random.default_rng(seed).normal(0, 1e-3, count))


def test_the_usual_move_is_the_median_whatever_a_few_are() -> None:
    clean = moves(300)
    medians = np.median(clean[-256:]), np.median(clean[-RECENT_BARS:])
    assert usual_move(clean) == pytest.approx(max(medians), rel=1e-12)
    wrong = clean.copy()
    wrong[[150, 151, 200, 270, 271]] = 4.6
    assert usual_move(wrong) == pytest.approx(usual_move(clean), rel=0.05)


def test_moves_of_nothing_do_not_count() -> None:
    sparse = np.zeros(256)
    sparse[::10] = 2e-3
    assert usual_move(sparse) == pytest.approx(2e-3)
    sparse[sparse.nonzero()[0][LEAST_MOVES - 1 :]] = 0.0
    assert math.isnan(usual_move(sparse))
    assert math.isnan(usual_move(np.zeros(0)))


def test_a_market_that_becomes_wild_counts_as_such_after_seven_bars() -> None:
    calm = moves(300)
    for wild in range(RECENT_BARS + 1):
        usual = usual_move(np.concatenate([calm, np.full(wild, 0.1)]))
        assert (usual == pytest.approx(0.1)) is (wild > RECENT_BARS // 2)


def test_the_limit_grows_with_the_square_root_of_time_between_its_bounds() -> None:
    assert limit_of(1e-4, 1) == pytest.approx(JUMP * 1e-4)
    assert limit_of(1e-4, 9) == pytest.approx(3 * JUMP * 1e-4)
    assert limit_of(1e-12, 1) == LEAST_LIMIT
    assert limit_of(0.5, 1) == limit_of(math.nan, 1) == MOST_LIMIT


def closed(prices: list[float], *, highs: dict[int, float] | None = None) -> list[ClosedBar]:
    return [ClosedBar(*item) for item in _window(prices, highs)[1]]


def _window(
    prices: list[float], highs: dict[int, float] | None = None
) -> tuple[Window, list[ClosedBar]]:
    window = Window(capacity=1000, bar_ms=BAR_MS, grace_ms=1000)
    found = []
    for number, price in enumerate(prices):
        ts = START_MS + number * BAR_MS
        found.append(
            window.append(
                OpenBar(
                    ts_open=ts,
                    open=price,
                    high=(highs or {}).get(number, price * 1.0001),
                    low=price * 0.9999,
                    close=price,
                    volume=1.0,
                    ticks=4,
                    ts_first=ts,
                    ts_last=ts + BAR_MS - 1,
                )
            )
        )
    return window, found


def walk(count: int) -> list[float]:
    rng = np.random.default_rng(2)
    return [float(value) for value in 1.58 * np.exp(np.cumsum(rng.normal(0, 1e-4, count)))]


def times(prices: list[float], factor: float, first: int, last: int | None = None) -> list[float]:
    return [
        price * factor if first <= number < (last or len(prices)) else price
        for number, price in enumerate(prices)
    ]


def columns(prices: list[float]) -> BarColumns:
    return _window(prices)[0].columns()


def test_clean_prices_have_no_jump_and_stay_as_they_are() -> None:
    bars = columns(walk(400))
    assert not bars.log_jump.any()
    assert bars.without_jumps() is bars


@pytest.mark.parametrize("factor", [100.0, 0.1, 1.05])
@pytest.mark.parametrize("at", [20, 200])
def test_one_bar_that_is_wrong_is_two_jumps_and_a_split_is_one(factor: float, at: int) -> None:
    prices = walk(400)
    assert [item.jumped for item in closed(times(prices, factor, at, at + 1))] == [
        number in (at, at + 1) for number in range(400)
    ]
    split = columns(times(prices, factor, at))
    assert split.log_jump.nonzero()[0].tolist() == [at]
    plain = columns(prices)
    steps = np.diff(split.without_jumps().log_close)
    expected = np.diff(plain.log_close)
    expected[at - 1] = 0.0
    np.testing.assert_allclose(steps, expected, atol=1e-12)
    assert split.without_jumps().log_close[-1] == split.log_close[-1]


@pytest.mark.parametrize("factor", [100.0, 0.1, 1.05])
def test_features_after_a_wrong_bar_differ_by_its_own_return_alone(factor: float) -> None:
    """Not by the wrong price: within the believed moves, and not at all 48 bars later."""
    prices = walk(400)
    plain = bar_vectors(columns(prices))
    wrong = bar_vectors(columns(times(prices, factor, 200, 201)))
    split = bar_vectors(columns(times(prices, factor, 200)))
    for found in (wrong, split):
        assert np.isfinite(found).all()
        assert np.abs(found[:, :4] - plain[:, :4]).max() < 1e-3
        np.testing.assert_allclose(found[: 200 - LOOKBACK], plain[: 200 - LOOKBACK], atol=1e-7)
        np.testing.assert_allclose(found[202:], plain[202:], rtol=1e-4, atol=1e-6)


def test_a_wrong_tick_within_a_bar_does_not_stretch_its_range() -> None:
    prices = walk(400)
    window = _window(prices, {200: prices[200] * 100})[0]
    assert np.exp(window.columns().log_high[200]) == pytest.approx(
        max(prices[200], prices[199]), rel=1e-12
    )
    assert not window.columns().log_jump.any()
    plain, found = bar_vectors(columns(prices)), bar_vectors(window.columns())
    assert np.abs(found - plain)[:, -7].max() < 3e-4  # the range of a bar


def test_after_a_gap_more_is_believed() -> None:
    window, _ = _window(walk(300))
    last = float(np.exp(window.columns().log_close[-1]))

    def jumps(price: float, bars: int) -> bool:
        ts = START_MS + (299 + bars) * BAR_MS
        bar = OpenBar(
            ts_open=ts, open=price, high=price, low=price, close=price, volume=0.0, ticks=1,
            ts_first=ts, ts_last=ts,
        )  # fmt: skip
        return bool(window.columns(pending=[bar]).log_jump[-1] != 0.0)

    assert jumps(last * 1.01, 1)
    assert not jumps(last * 1.01, 2900)  # a weekend
    assert jumps(last * 10, 2900)
