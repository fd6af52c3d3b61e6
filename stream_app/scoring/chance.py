"""Whether a difference between forecasts is more than chance.

Outcomes over a horizon of h bars overlap, so their errors are autocorrelated up to lag h - 1 at
least. The variance of a mean is therefore estimated with Bartlett's weights (Newey and West
1987), at a lag of at least the horizon.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

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


def long_run_variance(values: NDArray[np.float64], lag: int) -> float:
    """The variance of sqrt(N) times the mean, with Bartlett's weights up to `lag`.

    g0 + 2 sum over k of (1 - k / (lag + 1)) gk, which is never negative.

    Args:
        values: shape (N,), in order of time.
        lag: 0 or more; capped at N - 1.
    """
    centred = values - values.mean()
    count = len(centred)
    total = float(centred @ centred)
    for k in range(1, min(lag, count - 1) + 1):
        total += 2 * (1 - k / (lag + 1)) * float(centred[k:] @ centred[:-k])
    return max(total / count, 0.0)


def mean_t(values: NDArray[np.float64], lag: int) -> float:
    """The t of a mean against 0, shape (N,); NaN where it is not defined."""
    count = len(values)
    if count < 2:
        return math.nan
    variance = long_run_variance(values, lag)
    return float(values.mean() / math.sqrt(variance / count)) if variance > 0 else math.nan


def clark_west_t(
    forecast: NDArray[np.float64], outcome: NDArray[np.float64], *, horizon_bars: int = 1
) -> float:
    """The t of Clark and West (2007) against forecasts of 0, both of shape (N,).

    A model that nests saying nothing adds noise to its error even when it knows nothing. The
    test takes that noise out: f = e0^2 - (e1^2 - (0 - forecast)^2), t of its mean, one-sided.
    With e0 = outcome and e1 = outcome - forecast, f is 2 * outcome * forecast.

    >>> clark_west_t(np.zeros(5), np.ones(5))
    nan
    """
    return mean_t(2.0 * outcome * forecast, max(horizon_bars, 1))
