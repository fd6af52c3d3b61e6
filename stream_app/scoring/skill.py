"""What point forecasts of a return were worth beside saying nothing.

Saying nothing is to forecast the last price, a return of 0. Scores are taken once a bar: the
outcomes of neighbouring ticks overlap, and would count the same thing many times.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.scoring.chance import clark_west_t


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """Errors of N return forecasts, and what they are worth beside forecasts of 0."""

    n: int
    mae: float
    """Mean absolute error, log return."""
    mse: float
    """Mean squared error."""
    bias: float
    """Mean of outcome less forecast, log return."""
    mae_skill: float
    """1 - MAE / the MAE of forecasts of 0; 0.002 is 0.2 % better, NaN where prices never moved."""
    mse_skill: float
    """The same for the mean squared error: the out-of-sample R2 of Campbell and Thompson (2008)."""
    hit_rate: float
    """How often the sign was right, where neither forecast nor outcome is 0; NaN if never."""
    cw_t: float
    """Clark-West t against forecasts of 0; NaN where it is not defined."""


def skill(
    forecast: NDArray[np.float64], outcome: NDArray[np.float64], *, horizon_bars: int = 1
) -> Skill:
    """Score return forecasts, both arrays of shape (N,), one a bar in order of time.

    Args:
        forecast: log returns, finite.
        outcome: the log returns that came, finite.
        horizon_bars: how many bars ahead; neighbouring outcomes share all but one of them.

    Raises:
        ValueError: the shapes differ, there are none, or a value is not finite.

    >>> found = skill(np.array([0.5, -0.5, 0.5]), np.array([1.0, -1.0, -1.0]))
    >>> found.hit_rate, found.mae, found.mae_skill
    (0.6666666666666666, 0.8333333333333334, 0.16666666666666663)
    """
    if forecast.shape != outcome.shape or forecast.ndim != 1 or not len(forecast):
        raise ValueError(f"forecasts {forecast.shape} and outcomes {outcome.shape} do not match")
    if not (np.isfinite(forecast).all() and np.isfinite(outcome).all()):
        raise ValueError("a forecast or an outcome is not finite")
    error = outcome - forecast
    mae, mse = float(np.abs(error).mean()), float(np.square(error).mean())
    base_mae, base_mse = float(np.abs(outcome).mean()), float(np.square(outcome).mean())
    moved = (forecast != 0) & (outcome != 0)
    hits = np.sign(forecast[moved]) == np.sign(outcome[moved])
    return Skill(
        n=len(error),
        mae=mae,
        mse=mse,
        bias=float(error.mean()),
        mae_skill=1 - mae / base_mae if base_mae else float("nan"),
        mse_skill=1 - mse / base_mse if base_mse else float("nan"),
        hit_rate=float(hits.mean()) if len(hits) else float("nan"),
        cw_t=clark_west_t(forecast, outcome, horizon_bars=horizon_bars),
    )
