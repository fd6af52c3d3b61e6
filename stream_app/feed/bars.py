"""A file's bars as ticks: each bar becomes four, in the order that its close implies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TICKS_PER_BAR = 4


class BadBarError(Exception):
    """A bar that cannot be turned into ticks.

    Attributes:
        row: its position in the arrays, from 0.
        problem: what is wrong with it, and the remedy.
    """

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(f"row {row}: {problem}")
        self.row = row
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of ticks as arrays of the same length."""

    ts: NDArray[np.int64]
    """Event time, epoch ms."""
    price: NDArray[np.float64]
    size: NDArray[np.float64] | None
    """NaN where a row has none."""
    code: NDArray[np.int64]
    """Position of the row's symbol in the file's symbols."""


def bars_to_ticks(
    ts_open: NDArray[np.int64],
    ohlc: NDArray[np.float64],
    volume: NDArray[np.float64] | None,
    code: NDArray[np.int64],
) -> Rows:
    """Turn bars, in order of time, into four times as many ticks, in order of time.

    The open is at the bar's open time. If the bar closes at or above its open, its low comes
    next and then its high, else its high and then its low; the close is last. They are spaced
    evenly over the median distance between bars of the same symbol, or less where the next bar
    comes sooner. The volume is shared evenly.

    Args:
        ts_open: shape (bars,), epoch ms.
        ohlc: shape (bars, 4): open, high, low, close.
        volume: shape (bars,), or None.
        code: shape (bars,): which symbol each bar is of.

    Raises:
        BadBarError: a high below, or a low above, one of the others; two bars of one symbol at
            one time; or no symbol has two bars, so that their length is unknown.
    """
    opened, high, low, close = ohlc.T
    inconsistent = (high < ohlc.max(axis=1)) | (low > ohlc.min(axis=1))
    if inconsistent.any():
        row = int(np.argmax(inconsistent))
        values = ", ".join(f"{value:g}" for value in ohlc[row])
        raise BadBarError(
            row,
            f"open, high, low, close are {values}; looked for the high above and the low below "
            "all others; mend the bar or map the columns with --column high=NAME",
        )
    rising = close >= opened
    price = np.column_stack(
        (opened, np.where(rising, low, high), np.where(rising, high, low), close)
    )
    spacing = _spacing(ts_open, code)
    quarters = np.arange(TICKS_PER_BAR) * spacing[:, None] // TICKS_PER_BAR
    ts = (ts_open[:, None] + quarters).ravel()
    order = np.argsort(ts, kind="stable")  # bars of several symbols overlap
    size = None if volume is None else np.repeat(volume / TICKS_PER_BAR, TICKS_PER_BAR)[order]
    return Rows(
        ts=ts[order],
        price=price.ravel()[order],
        size=size,
        code=np.repeat(code, TICKS_PER_BAR)[order],
    )


def _spacing(ts_open: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
    """How long each bar lasts, in ms, of shape (bars,)."""
    by_symbol = np.lexsort((ts_open, code))
    same = np.diff(code[by_symbol]) == 0
    gaps = np.diff(ts_open[by_symbol])
    twice = same & (gaps == 0)
    if twice.any():
        raise BadBarError(
            int(by_symbol[1:][np.argmax(twice)]),
            "a second bar of its symbol at its time; looked for one; remove one of them, or name "
            "the symbols' column with --column symbol=NAME",
        )
    if not same.any():
        raise BadBarError(
            0,
            "the only bar of its symbol; looked for two or more, whose distance is the bars' "
            "length; give a file with more bars",
        )
    median = int(np.median(gaps[same]))
    spacing = np.full(len(ts_open), median, dtype=np.int64)
    spacing[by_symbol[:-1][same]] = np.minimum(gaps[same], median)
    return spacing
