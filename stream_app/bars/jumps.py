"""Which steps in price are believed: the one rule for live ticks and for training.

The usual move of a symbol is the median of its bars' absolute log returns that are not 0, each
divided by the square root of its length in bars: of the last SCALE_BARS bars, or of the last
RECENT_BARS if that is larger. A mistaken price moves no median, and a market that has really
become wilder counts as such after seven bars.

A step beyond JUMP times the usual move is a jump: an error of the feed (pence for pounds), a split,
or an event that no return before it can explain. Large returns are rare by the inverse cubic law
(Gopikrishnan, Meyer, Amaral, Stanley 1998): P(|return| > k medians) is about k^-3 / 2, so one bar
in 250,000 goes beyond 50. A jump counts as no return: prices before it are moved by it.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.compiled import DOUBLES, compiled, types

SCALE_BARS: Final = 256
RECENT_BARS: Final = 12
LEAST_MOVES: Final = 12
"""With fewer returns that are not 0, the usual move is unknown."""
JUMP: Final = 50.0
FAR: Final = 10.0
"""A model that expects more than so many usual moves over its horizon is not believed."""
LEAST_LIMIT: Final = 1e-3
"""Ten basis points: a step within them is always believed, however quiet the symbol is."""
MOST_LIMIT: Final = 1.0
"""A factor of e: a step beyond it is never believed, however wild or unknown the symbol is."""


@compiled(types.float64(DOUBLES))
def usual_move(moves: NDArray[np.float64]) -> float:
    """The usual move of one bar.

    Args:
        moves: shape (N,), the bars' absolute log returns per square root of a bar, oldest first.
            The last SCALE_BARS count.

    Returns:
        A log return; NaN while fewer than LEAST_MOVES of them are not 0.

    >>> usual_move(np.array([1e-3, 2e-3, 3e-3] * 5 + [4.6]))
    0.002
    """
    usual = 0.0
    for bars, least in ((SCALE_BARS, LEAST_MOVES), (RECENT_BARS, RECENT_BARS // 2 + 1)):
        kept = moves[max(0, len(moves) - bars) :]
        ordered = np.sort(kept[kept > 0.0])
        count = len(ordered)
        if count >= least:
            median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0
            usual = max(usual, median)
        elif usual == 0.0:
            return math.nan
    return usual


def limit_of(usual: float, bars: float, multiple: float = JUMP) -> float:
    """The largest log return over so many bars that is believed.

    >>> limit_of(1e-4, 1), limit_of(1e-4, 4), limit_of(1e-9, 1), limit_of(math.nan, 1)
    (0.005, 0.01, 0.001, 1.0)
    """
    return believed(usual, bars, multiple)


@compiled(types.float64(types.float64, types.float64, types.float64))
def believed(usual: float, bars: float, multiple: float) -> float:
    """`limit_of` for compiled loops."""
    if math.isnan(usual):
        return MOST_LIMIT
    return min(max(multiple * usual * math.sqrt(bars), LEAST_LIMIT), MOST_LIMIT)
