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


@compiled(types.float64(DOUBLES, types.int64, DOUBLES, types.int64))
def _usual(
    ordered: NDArray[np.float64], count: int, newest: NDArray[np.float64], recent: int
) -> float:
    """The usual move.

    Args:
        ordered: the last SCALE_BARS moves that are not 0, in rising order.
        count: how many of them.
        newest: the last RECENT_BARS of the same.
        recent: how many of them.
    """
    if count < LEAST_MOVES:
        return math.nan
    usual = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0
    if recent > RECENT_BARS // 2:
        usual = max(usual, (newest[(recent - 1) // 2] + newest[recent // 2]) / 2.0)
    return float(usual)


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
    scale = moves[max(0, len(moves) - SCALE_BARS) :]
    recent = moves[max(0, len(moves) - RECENT_BARS) :]
    ordered, newest = np.sort(scale[scale > 0.0]), np.sort(recent[recent > 0.0])
    return _usual(ordered, len(ordered), newest, len(newest))


@compiled(DOUBLES(DOUBLES, types.int64, types.int64))
def usual_moves(moves: NDArray[np.float64], first: int, most: int) -> NDArray[np.float64]:
    """The usual move after each bar, as `usual_move` of the bars up to there.

    Args:
        moves: shape (N,), as there.
        first: the first bar that is asked about; those before are known.
        most: how many bars there are at most, the others are forgotten.

    Returns:
        Shape (N - first,).
    """
    scale, short = min(SCALE_BARS, most), min(RECENT_BARS, most)
    ordered, count = np.empty(scale + 1), 0
    found = np.empty(len(moves) - first)
    for at in range(max(0, first - scale), len(moves)):
        move, gone = moves[at], at - scale
        if gone >= max(0, first - scale) and moves[gone] > 0.0:
            place = np.searchsorted(ordered[:count], moves[gone])
            count -= 1
            for each in range(place, count):
                ordered[each] = ordered[each + 1]
        if move > 0.0:
            place = np.searchsorted(ordered[:count], move)
            for each in range(count, place, -1):
                ordered[each] = ordered[each - 1]
            ordered[place] = move
            count += 1
        if at >= first:
            recent = moves[max(0, at + 1 - short) : at + 1]
            newest = np.sort(recent[recent > 0.0])
            found[at - first] = _usual(ordered, count, newest, len(newest))
    return found


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
