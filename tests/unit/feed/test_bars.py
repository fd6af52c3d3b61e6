from __future__ import annotations

import numpy as np
import pytest

from stream_app.feed.bars import BadBarError, bars_to_ticks

MINUTE = 60_000


def bars(
    *rows: tuple[float, float, float, float],
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array(rows, dtype=np.float64)


def one_symbol(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.zeros(count, dtype=np.int64)


def test_a_rising_bar_falls_first_and_a_falling_one_rises_first() -> None:
    rows = bars_to_ticks(
        np.array([0, MINUTE, 2 * MINUTE]),
        bars((10, 12, 9, 11), (11, 12, 9, 10), (10, 11, 9, 10)),
        np.array([4.0, 8.0, np.nan]),
        one_symbol(3),
    )

    assert rows.price.tolist() == [10, 9, 12, 11, 11, 12, 9, 10, 10, 9, 11, 10]
    assert rows.ts.tolist() == [nth * 15_000 for nth in range(12)]
    assert rows.size is not None
    assert rows.size[:8].tolist() == [1.0] * 4 + [2.0] * 4
    assert np.isnan(rows.size[8:]).all()


def test_a_gap_does_not_stretch_the_bars_nor_does_a_short_one_overlap() -> None:
    opened = np.array([0, 60, 120, 180, 1180, 1200]) * 1000

    rows = bars_to_ticks(opened, bars(*[(1, 1, 1, 1)] * 6), None, one_symbol(6))

    assert rows.ts[12:16].tolist() == [180_000, 195_000, 210_000, 225_000]
    assert rows.ts[16:20].tolist() == [1_180_000, 1_185_000, 1_190_000, 1_195_000]
    assert rows.size is None


def test_bars_of_several_symbols_give_ticks_in_order_of_time() -> None:
    opened = np.array([0, 0, MINUTE, MINUTE])
    code = np.array([0, 1, 0, 1])

    rows = bars_to_ticks(
        opened, bars((1, 4, 1, 4), (10, 40, 10, 40), (4, 4, 4, 4), (40, 40, 40, 40)), None, code
    )

    assert np.all(np.diff(rows.ts) >= 0)
    assert rows.code[:8].tolist() == [0, 1] * 4
    assert rows.price[rows.code == 1].tolist() == [10, 10, 40, 40, 40, 40, 40, 40]


@pytest.mark.parametrize(
    ("opened", "rows", "code", "row", "problem"),
    [
        ([0, MINUTE], [(1, 2, 1, 2), (1, 2, 1, 2.5)], [0, 0], 1, "are 1, 2, 1, 2.5"),
        ([0, MINUTE], [(1, 2, 1.5, 2), (1, 2, 1, 2)], [0, 0], 0, "are 1, 2, 1.5, 2"),
        ([0, 0, 0], [(1, 1, 1, 1)] * 3, [0, 1, 0], 2, "a second bar of its symbol at its time"),
        ([0, 0], [(1, 1, 1, 1)] * 2, [0, 1], 0, "the only bar of its symbol"),
    ],
)
def test_a_bar_that_cannot_be_is_named(
    opened: list[int],
    rows: list[tuple[float, float, float, float]],
    code: list[int],
    row: int,
    problem: str,
) -> None:
    with pytest.raises(BadBarError) as refusal:
        bars_to_ticks(np.array(opened), bars(*rows), None, np.array(code))

    assert refusal.value.row == row
    assert problem in refusal.value.problem
    assert "; looked for " in refusal.value.problem
