"""Whether outcomes are as large as their forecasts say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.scoring.chance import horizon_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Forecasts of about the same size, and what came."""

    n: int
    forecast: float
    """Mean, log return."""
    outcome: float
    """Mean, log return."""
    standard_error: float
    """Of the mean outcome; NaN below `least_outcomes`."""


def calibration(
    forecast: NDArray[np.float64],
    outcome: NDArray[np.float64],
    *,
    bins: int = 10,
    horizon_bars: int = 1,
) -> list[Bin]:
    """Sort forecasts into bins of equal counts, as a reliability diagram does.

    Args:
        forecast: shape (N,), in order of time.
        outcome: shape (N,).
        bins: how many; fewer where forecasts are the same.
        horizon_bars: up to so many bars apart outcomes overlap.

    >>> made = calibration(np.array([1.0, 1.0, 2.0, 2.0]), np.array([0.0, 1.0, 3.0, 2.0]), bins=2)
    >>> [(each.forecast, each.outcome) for each in made]
    [(1.0, 0.5), (2.0, 2.5)]
    """
    edges = np.quantile(forecast, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(np.unique(edges), forecast, side="left")
    return list(_bins(forecast, outcome, place, horizon_bars))


def _bins(
    forecast: NDArray[np.float64],
    outcome: NDArray[np.float64],
    place: NDArray[np.int64],
    horizon_bars: int,
) -> Iterator[Bin]:
    for number in np.unique(place):
        at = place == number
        count = int(at.sum())
        # Where forecasts change slowly the members of a bin are neighbours.
        error = horizon_error(outcome[at], horizon_bars)
        yield Bin(
            n=count,
            forecast=float(forecast[at].mean()),
            outcome=float(outcome[at].mean()),
            standard_error=error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """By how much forecasts should be multiplied."""

    value: float
    """1 is right; below it the forecasts are too large. NaN where all are 0."""
    standard_error: float
    """NaN below `least_outcomes`, too."""


def slope(
    forecast: NDArray[np.float64], outcome: NDArray[np.float64], *, horizon_bars: int = 1
) -> Slope:
    """Least squares of outcomes on forecasts through 0, both of shape (N,), in order of time.

    Mincer and Zarnowitz (1969) with no constant: b = f'y / f'f. Its standard error is
    that of the mean of f (y - b f), by `horizon_error`, times N / f'f.

    >>> slope(np.tile([1.0, -1.0], 24), np.tile([0.5, -0.5], 24))
    Slope(value=0.5, standard_error=0.0)
    """
    square = float(forecast @ forecast)
    if not square:
        return Slope(value=math.nan, standard_error=math.nan)
    value = float(forecast @ outcome) / square
    error = horizon_error(forecast * (outcome - value * forecast), horizon_bars)
    return Slope(value=value, standard_error=error * len(forecast) / square)
