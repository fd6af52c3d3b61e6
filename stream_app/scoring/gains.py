"""Where and when forecasts gained on saying nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cumulative_gain(
    forecast: NDArray[np.float64], outcome: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The absolute error saved so far against forecasts of 0, log return, shape (N,).

    Rises where forecasts are better than the last price (Goyal and Welch 2008, with absolute
    errors).

    >>> cumulative_gain(np.array([1.0, 1.0]), np.array([1.0, -1.0])).tolist()
    [1.0, 0.0]
    """
    saved: NDArray[np.float64] = np.cumsum(np.abs(outcome) - np.abs(outcome - forecast))
    return saved


def trailing_volatility(price: NDArray[np.float64], span: int) -> NDArray[np.float64]:
    """Root mean square of the last steps of a log price up to each one, shape (N,).

    Each value knows its own price and those before. Where fewer than `span` steps are known it is
    that of those; NaN at the first.

    Args:
        price: shape (N,), above 0, in order of time.
        span: how many steps.

    >>> trailing_volatility(np.exp(np.array([0.0, 1.0, 0.0])), 2).round(6).tolist()
    [nan, 1.0, 1.0]
    """
    squares = np.concatenate([[0.0], np.cumsum(np.square(np.diff(np.log(price))))])
    at = np.arange(len(price))
    first = np.maximum(at - span, 0)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = np.sqrt((squares[at] - squares[first]) / (at - first))
    return found


def fifths(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """In which fifth of all values each lies, 0 to 4; -1 for NaN. Shape (N,).

    >>> fifths(np.array([1.0, 2.0, 3.0, 4.0, 5.0, np.nan])).tolist()
    [0, 1, 2, 3, 4, -1]
    """
    known = ~np.isnan(values)
    edges = np.quantile(values[known], (0.2, 0.4, 0.6, 0.8)) if known.any() else np.zeros(0)
    return np.where(known, np.searchsorted(edges, values), -1)
