"""A file's bars as ticks: each bar becomes four, and none of them tells the bar's future."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.feed.rows import TickRows

TICKS_PER_BAR: Final = 4
SHORTEST_BAR_MS: Final = 10
"""Below this the four ticks have no room."""
_USUAL_SHARE: Final = 0.05
"""A distance that this share of the bars has is taken for their length."""


class BadBarError(Exception):
    """The bars' length is unknown, or too short for four ticks.

    Attributes:
        problem: what is wrong, and the remedy.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def bars_to_ticks(
    ts_open: NDArray[np.int64],
    ohlc: NDArray[np.float64],
    volume: NDArray[np.float64] | None,
    code: NDArray[np.int64],
) -> TickRows:
    """Turn bars, in order of time, into four times as many ticks, in order of time.

    The open is at the bar's start. The others are in the last milliseconds of the bar, because
    only there are they known: first the low and then the high of a bar that closes at or above
    its open, else the high and then the low; the close is last, and has the volume. No tick
    between the start and the end tells where the bar goes, whatever grid cuts the ticks into
    bars again: the three stand within one second, and a grid is of whole seconds.

    >>> import numpy as np
    >>> rows = bars_to_ticks(
    ...     np.array([0, 60_000]),
    ...     np.array([[10.0, 12.0, 9.0, 11.0], [11.0, 11.0, 8.0, 9.0]]),
    ...     np.array([5.0, 6.0]),
    ...     np.array([0, 0]),
    ... )
    >>> rows.ts.tolist()
    [0, 59997, 59998, 59999, 60000, 119997, 119998, 119999]
    >>> rows.price.tolist()
    [10.0, 9.0, 12.0, 11.0, 11.0, 11.0, 8.0, 9.0]

    Args:
        ts_open: shape (bars,), epoch ms; no symbol has two bars at one time.
        ohlc: shape (bars, 4): open, high, low, close; the high and the low enclose the others.
        volume: shape (bars,), NaN where unknown; or None.
        code: shape (bars,): which symbol each bar is of.

    Raises:
        BadBarError: as `bar_length_ms`.
    """
    opened, high, low, close = ohlc.T
    rising = close >= opened
    price = np.column_stack(
        (opened, np.where(rising, low, high), np.where(rising, high, low), close)
    )
    last = _last_ms(ts_open, _lengths(ts_open, code))
    ts = np.column_stack((ts_open, last - 2, last - 1, last)).ravel()
    order = np.argsort(ts, kind="stable")  # bars of several symbols overlap
    size = None
    if volume is not None:
        size = np.full(price.shape, np.nan)
        size[:, -1] = volume
        size = size.ravel()[order]
    return TickRows(
        ts=ts[order],
        price=price.ravel()[order],
        size=size,
        code=np.repeat(code, TICKS_PER_BAR)[order],
        is_settled=(np.arange(price.size) % TICKS_PER_BAR == TICKS_PER_BAR - 1)[order],
    )


def bar_length_ms(ts_open: NDArray[np.int64], code: NDArray[np.int64]) -> int:
    """How long the bars last: their usual distance.

    Files leave bars out (nights, weekends, minutes without a trade), so the most frequent
    distance is the length and not the mean; the shortest one where several are as frequent.
    Times that jitter have no usual distance: then it is the median.

    >>> import numpy as np
    >>> bar_length_ms(np.array([0, 60, 120, 300, 360, 900]), np.zeros(6, dtype=np.int64))
    60

    Args:
        ts_open: shape (bars,), epoch ms, in any order.
        code: shape (bars,): which symbol each bar is of.

    Raises:
        BadBarError: no symbol has two bars, or they are shorter than `SHORTEST_BAR_MS`.
    """
    by_symbol = np.lexsort((ts_open, code))
    gaps = np.diff(ts_open[by_symbol])[np.diff(code[by_symbol]) == 0]
    if not len(gaps):
        raise BadBarError(
            "the only bar of its symbol; looked for two or more, whose distance is the bars' "
            "length; give a file with more bars"
        )
    distances, counts = np.unique(gaps, return_counts=True)
    usual = int(np.argmax(counts))
    is_usual = counts[usual] > 1 and counts[usual] >= _USUAL_SHARE * len(gaps)
    length = int(distances[usual]) if is_usual else int(np.median(gaps))
    if length < SHORTEST_BAR_MS:
        raise BadBarError(
            f"its bars are {length} ms apart; looked for {SHORTEST_BAR_MS} ms or more, which is "
            "room for a bar's four ticks; give the trades themselves"
        )
    return length


def _lengths(ts_open: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
    """How long each bar lasts, in ms, of shape (bars,): less where the next one comes sooner."""
    length = bar_length_ms(ts_open, code)
    by_symbol = np.lexsort((ts_open, code))
    same = np.diff(code[by_symbol]) == 0
    gaps = np.diff(ts_open[by_symbol])
    lengths = np.full(len(ts_open), length, dtype=np.int64)
    lengths[by_symbol[:-1][same]] = np.minimum(gaps[same], length)
    return lengths


def _last_ms(ts_open: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last millisecond of each bar that has the two before it in the same second."""
    last = ts_open + lengths - 1
    into_second = last % 1000
    earlier = np.where(into_second < 2, last - into_second - 1, last)
    # A bar that the next one cuts to less than a few milliseconds keeps its ticks in itself.
    return np.maximum(np.where(earlier - 2 > ts_open, earlier, last), ts_open + 2)
