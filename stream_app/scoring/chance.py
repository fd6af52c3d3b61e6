"""Whether a difference between forecasts is more than chance.

Outcomes over a horizon of h bars overlap, so their errors are autocorrelated up to lag h - 1 at
least. The variance of a mean is therefore estimated with Bartlett's weights (Newey and West
1987), at a lag of at least the horizon; figures that people read take `horizon_error`.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.compiled import DOUBLES, compiled, types

BEYOND_CHANCE: Final = 3.0
"""How many standard errors count as chance: a mean of noise exceeds them once in 370 times."""


def least_outcomes(horizon_bars: int) -> int:
    """Below so many outcomes nothing is concluded from them: a mean of a few is noise.

    >>> least_outcomes(1), least_outcomes(12)
    (48, 96)
    """
    return max(48, 8 * horizon_bars)


def recent_outcomes(horizon_bars: int) -> int:
    """How many outcomes count as recent: a day of five-minute bars, or 24 horizons.

    >>> recent_outcomes(1), recent_outcomes(48)
    (288, 1152)
    """
    return max(288, 24 * horizon_bars)


_least_outcomes = compiled(types.int64(types.int64))(least_outcomes)


@compiled(DOUBLES(DOUBLES, types.int64))
def _sums(values: NDArray[np.float64], beyond: int) -> NDArray[np.float64]:
    """The sums of the first 0, 1, ... N centred values, with `beyond` 0s before and after."""
    mean, total = values.mean(), 0.0
    sums = np.zeros(len(values) + 1 + 2 * beyond)
    for i in range(len(values)):
        total += values[i] - mean
        sums[beyond + 1 + i] = total
    return sums


@compiled(types.float64(DOUBLES, types.int64))
def _window_squares(sums: NDArray[np.float64], length: int) -> float:
    """The sum of the squares of all windows' sums, a window being `length` neighbours.

    With gk the sum of the products of values k apart it is length g0 + 2 sum of (length - k) gk for
    k below `length`, because two values k apart are together in length - k windows. So it takes one
    pass over the values, however many lags there are.

    Args:
        sums: as `_sums` gives them, with at least `length` beyond.
        length: 0 or more.
    """
    total = 0.0
    for start in range(len(sums) - length):
        window = sums[start + length] - sums[start]
        total += window * window
    return total


@compiled(types.float64(DOUBLES, types.int64))
def _bartlett(sums: NDArray[np.float64], lag: int) -> float:
    return _window_squares(sums, lag + 1) / (lag + 1.0)


@compiled(types.float64(DOUBLES, types.int64))
def long_run_variance(values: NDArray[np.float64], lag: int) -> float:
    """The variance of sqrt(N) times the mean, with Bartlett's weights up to `lag`.

    g0 + 2 sum of (1 - k / (lag + 1)) gk for k up to `lag`; never negative.

    Args:
        values: shape (N,), in order of time, N above 0.
        lag: 0 or more.
    """
    return _bartlett(_sums(values, lag + 1), lag) / len(values)


@compiled(types.float64(DOUBLES, types.int64))
def horizon_variance(values: NDArray[np.float64], horizon_bars: int) -> float:
    """N times the variance of a mean of losses or gains over neighbouring, overlapping horizons.

    Where forecasts change slowly, as most do, losses over h bars are as alike as the outcomes are:
    at lag k by the share 1 - k / h. Bartlett's weights take off as much again, and up to lag h find
    two thirds of the variance. So it is the larger one of Newey and West's up to lag h and of that
    with even weights up to lag h - 1, which is exact where losses a horizon apart are independent
    (Hansen and Hodrick 1980), but may be negative. One bar ahead nothing overlaps, and it is Newey
    and West's.

    Args:
        values: shape (N,), one for each bar, in order of time, N above 0.
        horizon_bars: h, 1 or more.
    """
    sums = _sums(values, horizon_bars + 1)
    total = _bartlett(sums, horizon_bars)
    if horizon_bars > 1:
        even = _window_squares(sums, horizon_bars) - _window_squares(sums, horizon_bars - 1)
        total = max(total, even)
    return total / len(values)


@compiled(types.float64(DOUBLES, types.int64))
def horizon_error(values: NDArray[np.float64], horizon_bars: int) -> float:
    """The standard error of a mean by `horizon_variance`, shape (N,).

    NaN below `least_outcomes`: a few values that overlap look alike, and so their mean certain. Of
    no more than h, the even weights find a variance of 0.
    """
    count = len(values)
    if count < _least_outcomes(horizon_bars):
        return math.nan
    return math.sqrt(horizon_variance(values, horizon_bars) / count)


@compiled(types.float64(DOUBLES, types.int64))
def horizon_t(values: NDArray[np.float64], horizon_bars: int) -> float:
    """The t of a mean against 0 by `horizon_error`, shape (N,); NaN where that is, or 0."""
    error = horizon_error(values, horizon_bars)
    return values.mean() / error if error > 0.0 else math.nan


@compiled(types.float64(DOUBLES, types.int64))
def mean_t(values: NDArray[np.float64], lag: int) -> float:
    """The t of a mean against 0, shape (N,); NaN where it is not defined."""
    count = len(values)
    if count < 2:
        return math.nan
    variance = long_run_variance(values, lag)
    return values.mean() / math.sqrt(variance / count) if variance > 0.0 else math.nan


def overlapping_t(values: NDArray[np.float64], horizon_bars: int) -> float:
    """The t of a mean of outcomes of neighbouring bars, shape (N,), as far out as a normal's.

    N outcomes over h bars are N / h independent ones. With few of those the variance that is
    estimated is often far too small, and a plain t far too large. So the variance is the larger one
    of Newey and West's and of that of N / h independent outcomes, and the t is brought to where a
    normal variable is as rare, by the first term of the expansion of Student's t (Peiser, Annals of
    Mathematical Statistics, 1943). NaN where it is not defined.

    Args:
        values: one for each bar, oldest first.
        horizon_bars: neighbouring outcomes share all but one of so many bars.
    """
    count = len(values)
    if count < 2:
        return math.nan
    variance = overlapping_variance(values, horizon_bars)
    if variance <= 0:
        return math.nan
    t = float(values.mean()) / math.sqrt(variance / count)
    freedom = max(count / horizon_bars - 1, 1.0)
    return t / (1 + (BEYOND_CHANCE**2 + 1) / (4 * freedom))


def overlapping_variance(values: NDArray[np.float64], horizon_bars: int) -> float:
    """N times the variance of a mean of outcomes of neighbouring bars; see `overlapping_t`."""
    return max(long_run_variance(values, 2 * horizon_bars), float(values.var()) * horizon_bars)


def share_beyond_chance(t: float) -> float:
    """Which share of a mean with this t is more than chance: max(0, 1 - (3 / t)^2).

    The positive-part James-Stein rule (Efron and Morris 1973) with a threshold of BEYOND_CHANCE
    standard errors. Values that are all the same have no t: there is no chance in them.

    >>> [share_beyond_chance(t) for t in (2.0, -6.0, math.nan)]
    [0.0, 0.75, 1.0]
    """
    if math.isnan(t):
        return 1.0
    return max(0.0, 1.0 - (BEYOND_CHANCE / t) ** 2) if t else 0.0
