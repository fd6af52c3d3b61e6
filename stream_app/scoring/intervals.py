"""The quality of prediction intervals: their coverage, and their width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RUN: Final = 288
"""Coverage must hold in any so many forecasts in a row: a day of five-minute bars."""
VOLATILE: Final = 0.2
"""The share of the forecasts that counts as volatile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalScore:
    """What N intervals of one level were worth; returns and widths are log returns."""

    level: float
    """The share of the outcomes that should lie inside."""
    n: int
    coverage: float
    """The share that did."""
    coverage_worst_288: float
    """Of the coverages in all runs of 288 forecasts, the one furthest from the level; NaN where
    there are fewer."""
    coverage_volatile: float
    """Over the fifth of the forecasts that were made in the highest volatility."""
    width: float
    """Mean of high less low."""
    winkler: float
    """Mean interval score; smaller is better."""


def winkler(
    level: float,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    outcome: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The interval score of each of N intervals: width, and 2 / (1 - level) times the miss.

    Winkler (1972), A Decision-Theoretic Approach to Interval Estimation; proper for the central
    interval by Gneiting and Raftery (2007), Strictly Proper Scoring Rules, equation 43. It is
    smallest, in expectation, for the true quantiles.

    Args:
        level: above 0, below 1.
        low: shape (N,).
        high: shape (N,), not below `low`.
        outcome: shape (N,).

    Returns:
        Shape (N,), in the unit of the outcomes.

    >>> winkler(0.5, np.zeros(3), np.ones(3), np.array([0.5, 1.0, 3.0])).tolist()
    [1.0, 1.0, 9.0]
    """
    missed = np.maximum(low - outcome, 0.0) + np.maximum(outcome - high, 0.0)
    score: NDArray[np.float64] = high - low + 2.0 / (1.0 - level) * missed
    return score


def running_coverage(inside: NDArray[np.bool_], run: int = RUN) -> NDArray[np.float64]:
    """The share inside in each run of so many in a row.

    Args:
        inside: whether each outcome was inside, shape (N,), in order of time.
        run: how many forecasts in a row.

    Returns:
        Shape (N - run + 1,), by the end of the run; empty where N is below `run`.

    >>> running_coverage(np.array([True, True, False]), run=2).tolist()
    [1.0, 0.5]
    """
    passed = np.concatenate([[0], np.cumsum(inside)])
    shares: NDArray[np.float64] = (passed[run:] - passed[:-run]) / run
    return shares


def worst_coverage(inside: NDArray[np.bool_], level: float, run: int = RUN) -> float:
    """Of the coverages in all runs of so many in a row, the one furthest from the level.

    Args:
        inside: whether each outcome was inside, shape (N,), in order of time.
        level: what the coverage should be.
        run: how many forecasts in a row.

    Returns:
        A share; NaN where N is below `run`.

    >>> worst_coverage(np.array([True, True, False, False, True]), 0.5, run=2)
    1.0
    """
    if len(inside) < run:
        return math.nan
    shares = running_coverage(inside, run)
    return float(shares[np.argmax(np.abs(shares - level))])


def interval_score(
    level: float,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    outcome: NDArray[np.float64],
    volatility: NDArray[np.float64],
) -> IntervalScore:
    """Score N intervals of one level, one a bar in order of time; all of shape (N,).

    An outcome on a bound is inside.

    Args:
        level: above 0, below 1.
        low: log returns, finite.
        high: log returns, finite, not below `low`.
        outcome: the log returns that came, finite.
        volatility: how volatile the market was known to be at each forecast, in any unit.

    Raises:
        ValueError: the shapes differ, there are none, a value is not finite, or a `low` is above
            its `high`.

    >>> found = interval_score(
    ...     0.5, np.zeros(5), np.ones(5), np.array([0.5, 1.0, 3.0, 0.1, 0.2]), np.arange(5.0)
    ... )
    >>> found.coverage, found.coverage_volatile, found.width, found.winkler
    (0.8, 1.0, 1.0, 2.6)
    """
    arrays = (low, high, outcome, volatility)
    if any(item.shape != low.shape for item in arrays) or low.ndim != 1 or not len(low):
        raise ValueError(f"intervals and outcomes do not match: {[item.shape for item in arrays]}")
    if not all(np.isfinite(item).all() for item in arrays):
        raise ValueError("a bound, an outcome or a volatility is not finite")
    if (low > high).any():
        raise ValueError("a low bound lies above its high bound")
    inside = (low <= outcome) & (outcome <= high)
    volatile = volatility >= np.quantile(volatility, 1.0 - VOLATILE)
    return IntervalScore(
        level=level,
        n=len(low),
        coverage=float(inside.mean()),
        coverage_worst_288=worst_coverage(inside, level),
        coverage_volatile=float(inside[volatile].mean()),
        width=float((high - low).mean()),
        winkler=float(winkler(level, low, high, outcome).mean()),
    )
