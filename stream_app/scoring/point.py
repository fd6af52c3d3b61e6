"""Errors of point forecasts of a price."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Errors of price forecasts over the horizon."""

    mae: float
    """Mean absolute error, in the price's unit."""
    mape: float
    """Mean absolute percentage error, in percent of the realised price."""


def mae_ratio(score: Score, base: Score) -> float | None:
    """The mean absolute error over another one; None where that is 0: there is nothing to beat.

    >>> mae_ratio(Score(mae=3.0, mape=1.0), Score(mae=2.0, mape=1.0))
    1.5
    """
    return score.mae / base.mae if base.mae else None


def price_score(forecast: NDArray[np.float64], realised: NDArray[np.float64]) -> Score:
    """Compare forecast prices with the prices that came, both of shape (N,), N above 0.

    >>> price_score(np.array([101.0, 99.0]), np.array([100.0, 100.0]))
    Score(mae=1.0, mape=1.0)
    """
    error = np.abs(forecast - realised)
    return Score(mae=float(error.mean()), mape=float(100.0 * (error / realised).mean()))
