"""Bars that a file names by their ends."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from stream_app.feed.usual_names import normalised

BarTimes = Literal["start", "end"]

_ENDS: Final = frozenset(
    (
        *("closetime", "timeclose", "closetimestamp", "closedatetime", "klineclosetime"),
        *("endtime", "timeend", "endtimestamp", "enddatetime", "end", "barend", "barendtime"),
        *("windowend", "periodend", "periodendtime", "timeperiodend"),
    )
)


def is_end(name: str) -> bool:
    """Whether a column of times is by its name that of the bars' ends.

    >>> is_end("Close time"), is_end("time_period_end"), is_end("time")
    (True, True, False)
    """
    return normalised(name) in _ENDS


def starts_of(ends: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """When bars begin, epoch ms, shape (bars,).

    An end in the last millisecond of a second is the bar's last one, as in Binance's files.

    >>> starts_of(np.array([60_000, 119_999]), np.array([60_000, 60_000])).tolist()
    [0, 60000]

    Args:
        ends: epoch ms, shape (bars,).
        lengths: of the bars, ms, shape (bars,).
    """
    starts: NDArray[np.int64] = ends + (ends % 1000 == 999) - lengths
    return starts
