"""Whether one forecast's losses are smaller than another's by more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from stream_app.scoring.chance import horizon_t


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Of two forecasts of the same outcomes."""

    t: float
    """Above 0 where the first loses less; NaN where the losses differ by the same throughout, and
    below `least_outcomes`."""
    p: float
    """Two-sided, from Student's t with n - 1 degrees of freedom; NaN with `t`."""


def diebold_mariano(
    error: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    horizon_bars: int = 1,
    power: int = 2,
) -> Comparison:
    """Compare two forecasts by their errors, both of shape (N,), in order of time.

    d = |other|^power - |error|^power; t = mean(d) / sqrt(V / n) (Diebold and Mariano 1995), times
    sqrt((n + 1 - 2 h + h (h - 1) / n) / n) (Harvey, Leybourne and Newbold 1997). V is
    `horizon_variance` of d: by the even weights of the first paper, but never below Newey and
    West's, which cannot be negative.

    Args:
        error: outcome less forecast.
        other: of the other forecast.
        horizon_bars: h; neighbouring outcomes share all but one of its bars.
        power: 1 for absolute errors, 2 for squared ones.

    Raises:
        ValueError: the shapes differ.

    >>> quiet, loud = np.tile([1.0, -1.0], 24), np.tile([2.0, -3.0, 2.0, -2.0], 12)
    >>> diebold_mariano(quiet, loud).t > 2
    True
    >>> diebold_mariano(quiet, quiet).t
    nan
    """
    if error.shape != other.shape or error.ndim != 1:
        raise ValueError(f"errors {error.shape} and {other.shape} do not match")
    count, h = len(error), horizon_bars
    loss = np.abs(other) ** power - np.abs(error) ** power
    plain = horizon_t(loss, h)
    if math.isnan(plain):
        return Comparison(t=math.nan, p=math.nan)
    t = plain * math.sqrt((count + 1 - 2 * h + h * (h - 1) / count) / count)
    return Comparison(t=t, p=float(2 * stdtr(count - 1, -abs(t))))
