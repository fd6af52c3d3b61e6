"""A file's bars as ticks: each bar becomes four, and none of them reveals the bar's future."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.feed.bar_lengths import until_the_next
from stream_app.feed.rows import TickRows

TICKS_PER_BAR: Final = 4


def bars_to_ticks(
    ts_open: NDArray[np.int64],
    ohlc: NDArray[np.float64],
    volume: NDArray[np.float64] | None,
    code: NDArray[np.int64],
    lengths: NDArray[np.int64],
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
    ...     np.array([60_000, 60_000]),
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
        lengths: shape (bars,), ms: how long each bar lasts, if no other begins before.
    """
    opened, high, low, close = ohlc.T
    rising = close >= opened
    price = np.column_stack(
        (opened, np.where(rising, low, high), np.where(rising, high, low), close)
    )
    last = _last_ms(ts_open, until_the_next(ts_open, code, lengths))
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


def _last_ms(ts_open: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The last millisecond of each bar that has the two before it in the same second."""
    last = ts_open + lengths - 1
    into_second = last % 1000
    earlier = np.where(into_second < 2, last - into_second - 1, last)
    # A bar that the next one cuts to less than a few milliseconds keeps its ticks in itself.
    return np.maximum(np.where(earlier - 2 > ts_open, earlier, last), ts_open + 2)
