from __future__ import annotations

import numpy as np
import pytest

from stream_app.feed.bar_lengths import BadBarError, Milliseconds, bar_length_ms, bar_lengths
from stream_app.feed.bars import bars_to_ticks
from stream_app.feed.rows import TickRows

MINUTE = 60_000


def bars(
    *rows: tuple[float, float, float, float],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array(rows, dtype=np.float64)


def ticks_of(
    opened: Milliseconds,
    ohlc: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    volume: np.ndarray[tuple[int], np.dtype[np.float64]] | None,
    code: Milliseconds,
) -> TickRows:
    """As one file gives them."""
    return bars_to_ticks(opened, ohlc, volume, code, bar_lengths(opened, code, 0 * code))


def one_symbol(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.zeros(count, dtype=np.int64)


def test_the_open_is_at_the_start_and_the_rest_in_the_last_milliseconds() -> None:
    rows = ticks_of(
        np.array([0, MINUTE, 2 * MINUTE]),
        bars((10, 12, 9, 11), (11, 12, 9, 10), (10, 11, 9, 10)),
        np.array([4.0, 8.0, np.nan]),
        one_symbol(3),
    )

    assert rows.price.tolist() == [10, 9, 12, 11, 11, 12, 9, 10, 10, 9, 11, 10]
    assert rows.ts.tolist() == [
        MINUTE * nth + inside for nth in range(3) for inside in (0, 59_997, 59_998, 59_999)
    ]
    assert rows.size is not None
    assert rows.size[[3, 7]].tolist() == [4.0, 8.0]  # a bar's volume is known at its end
    assert np.isnan(np.delete(rows.size, [3, 7])).all()


def test_a_gap_does_not_stretch_the_bars_nor_does_a_short_one_overlap() -> None:
    opened = np.array([0, 60, 120, 180, 1180, 1200]) * 1000

    rows = ticks_of(opened, bars(*[(1, 1, 1, 1)] * 6), None, one_symbol(6))

    assert rows.ts[12:16].tolist() == [180_000, 239_997, 239_998, 239_999]
    assert rows.ts[16:20].tolist() == [1_180_000, 1_199_997, 1_199_998, 1_199_999]
    assert rows.size is None


@pytest.mark.parametrize("start", [0, 1, 2, 3, 500, 998, 999])
@pytest.mark.parametrize("length", [10, 37, 1000, 1001, 1999, 60_000, 61_002])
def test_no_whole_second_lies_between_the_last_three(start: int, length: int) -> None:
    """So no grid of seconds cuts a bar where only a part of its end is known."""
    opened = start + length * np.arange(50)
    rows = ticks_of(opened, bars(*[(3, 4, 1, 2)] * 50), None, one_symbol(50))

    ts = rows.ts.reshape(50, 4)
    assert (ts[:, 0] == opened).all()
    assert (np.diff(ts) > 0).all()
    assert (ts[:, 3] < opened + length).all()
    assert (ts[:, 1] // 1000 == ts[:, 3] // 1000).all()
    assert (rows.price.reshape(50, 4) == [3, 4, 1, 2]).all()


def test_bars_of_several_symbols_give_ticks_in_order_of_time() -> None:
    opened = np.array([0, 0, MINUTE, MINUTE])
    code = np.array([0, 1, 0, 1])

    rows = ticks_of(
        opened, bars((1, 4, 1, 4), (10, 40, 10, 40), (4, 4, 4, 4), (40, 40, 40, 40)), None, code
    )

    assert np.all(np.diff(rows.ts) >= 0)
    assert rows.code[:8].tolist() == [0, 1] * 4
    assert rows.price[rows.code == 1].tolist() == [10, 10, 40, 40, 40, 40, 40, 40]


def test_the_length_is_the_usual_distance_although_most_bars_are_absent() -> None:
    rng = np.random.default_rng(0)
    traded = np.flatnonzero(rng.random(3000) < 0.3) * 60  # the median distance is 120 or more
    assert np.median(np.diff(traded)) > 60
    assert bar_length_ms(traded, one_symbol(len(traded))) == 60

    jittering = np.cumsum(rng.integers(59_000, 61_000, 400))
    assert 59_000 < bar_length_ms(jittering, one_symbol(400)) < 61_000


@pytest.mark.parametrize(
    ("opened", "code", "problem"),
    [
        ([0, 0], [0, 1], "the only bar of its symbol"),
        ([0, 9, 18], [0, 0, 0], "its bars are 9 ms apart"),
    ],
)
def test_bars_without_a_usable_length_are_refused(
    opened: list[int], code: list[int], problem: str
) -> None:
    with pytest.raises(BadBarError) as refusal:
        ticks_of(np.array(opened), bars(*[(1, 1, 1, 1)] * len(opened)), None, np.array(code))

    assert problem in refusal.value.problem
    assert "; looked for " in refusal.value.problem
