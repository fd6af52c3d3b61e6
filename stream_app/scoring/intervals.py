"""What forecast intervals were worth: how often they held, how wide they were, and both in one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalScore:
    """N intervals of one level."""

    level: float
    """The share of outcomes that should lie inside, 0 to 1."""
    coverage: float
    """The share that did."""
    coverage_worst_288: float
    """The coverage furthest from the level in any 288 in a row (a day of five-minute bars); of
    all of them where there are fewer."""
    width: float
    """Mean width, in the outcome's unit."""
    winkler: float
    """Mean score of Winkler (1972): the width, and 2 / (1 - level) times how far an outcome lies
    outside. Lower is better; only honest intervals make it low."""


def interval_score(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    outcome: NDArray[np.float64],
    *,
    level: float,
    window: int = 288,
) -> IntervalScore:
    """Score intervals, all arrays of shape (N,), in order of time.

    Raises:
        ValueError: there are none, or `level` is not between 0 and 1.

    >>> ones = np.ones(4)
    >>> interval_score(-ones, ones, np.array([0.0, 0.5, 2.0, -1.0]), level=0.5).winkler
    3.0
    """
    if not len(outcome) or not 0 < level < 1:
        raise ValueError(f"no intervals to score at level {level}")
    inside = (low <= outcome) & (outcome <= high)
    outside = np.maximum(low - outcome, 0) + np.maximum(outcome - high, 0)
    sums = np.concatenate([[0], np.cumsum(inside)])
    size = min(window, len(outcome))
    shares = (sums[size:] - sums[:-size]) / size
    return IntervalScore(
        level=level,
        coverage=float(inside.mean()),
        coverage_worst_288=float(shares[np.argmax(np.abs(shares - level))]),
        width=float((high - low).mean()),
        winkler=float((high - low + 2 / (1 - level) * outside).mean()),
    )
