"""Bars that a file names by their ends."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from stream_app.feed.bar_lengths import bar_lengths, until_the_next
from stream_app.feed.usual_names import normalised

BarTimes = Literal["start", "end"]

_MINUTE_MS: Final = 60_000

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


def bars_by_end(
    ends: NDArray[np.int64], code: NDArray[np.int64], file: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When bars begin, epoch ms, and how long they last, ms; both of shape (bars,).

    A bar begins its usual length before its end, but not before the end of the one before: there it
    would tell that one's prices before they were known. Ends in the last millisecond of a second,
    or all in the last second of a minute, are the bars' last moments, as in Binance's files.

    >>> ends, same = np.array([59_999, 119_999, 179_999, 200_000]), np.zeros(4, dtype=np.int64)
    >>> starts, lengths = bars_by_end(ends, same, same)
    >>> starts.tolist(), lengths.tolist()
    ([0, 60000, 120000, 180000], [60000, 60000, 60000, 20000])

    Args:
        ends: epoch ms, shape (bars,); no symbol has two bars that end at one time.
        code: which symbol each bar is of, shape (bars,).
        file: which file each bar is from, shape (bars,).

    Raises:
        BadBarError: as `bar_lengths`.
    """
    is_last_second = (ends % _MINUTE_MS == _MINUTE_MS - 1000).all()
    exact = ends + (1000 if is_last_second else (ends % 1000 == 999))
    # Time turned round: a bar's end is where it begins, and the bar before follows it.
    lengths = until_the_next(-exact, code, bar_lengths(-exact, code, file))
    return exact - lengths, lengths
