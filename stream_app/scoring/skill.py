"""The skill of point forecasts of a return against the no-change forecast.

Saying nothing is to forecast the last price, a return of 0. Scores are taken once a bar: the
outcomes of neighbouring ticks overlap, and would count the same thing many times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_app.compiled import DOUBLES, compiled, types
from stream_app.scoring.chance import horizon_error, horizon_t


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """Errors of N return forecasts, and their skill against forecasts of 0."""

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
    """Clark-West t against forecasts of 0; NaN where they are the same, and below
    `least_outcomes`."""
    mse_skill_se: float
    """Standard error of `mse_skill`; NaN where that is, and below `least_outcomes`."""

    @property
    def rmse(self) -> float:
        """Root of the mean squared error, log return."""
        return math.sqrt(self.mse)


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
    return skills(forecast[np.newaxis], outcome, horizon_bars=horizon_bars)[0]


def skills(
    forecasts: NDArray[np.float64], outcome: NDArray[np.float64], *, horizon_bars: int = 1
) -> list[Skill]:
    """Score several forecasters of the same outcomes at once.

    Args:
        forecasts: shape (M, N), one row a forecaster; NaN where one gave no forecast.
        outcome: shape (N,), finite, N above 0.
        horizon_bars: as in `skill`.

    Returns:
        One for each row, over the forecasts that it gave.
    """
    horizon = max(horizon_bars, 1)
    rows = _figures(np.ascontiguousarray(forecasts), np.ascontiguousarray(outcome), horizon)
    return [Skill(n=int(n), **dict(zip(_FIGURES, row, strict=True))) for n, *row in rows.tolist()]


_FIGURES = ("mae", "mse", "bias", "mae_skill", "mse_skill", "hit_rate", "cw_t", "mse_skill_se")


@compiled(types.float64[:, ::1](types.float64[:, ::1], DOUBLES, types.int64))
def _figures(
    forecasts: NDArray[np.float64], outcome: NDArray[np.float64], horizon: int
) -> NDArray[np.float64]:
    """For each forecaster n and what `_FIGURES` names, shape (M, 9).

    The standard error of the MSE skill is that of the mean of e0^2 - e1^2, by `horizon_error`,
    over the mean of e0^2.

    The Clark-West t (2007): a model that nests saying nothing adds noise to its error even when it
    knows nothing. The test takes that noise out: with e0 = outcome, e1 = outcome - forecast,
    f = e0^2 - (e1^2 - (0 - forecast)^2) = 2 outcome forecast, it is the t of the mean of f,
    one-sided, by `horizon_t`.
    """
    out = np.full((len(forecasts), 9), math.nan)
    gained, saved = np.empty(len(outcome)), np.empty(len(outcome))
    for m in range(len(forecasts)):
        n = 0
        mae = mse = bias = base_mae = base_mse = hits = moved = 0.0
        for i in range(len(outcome)):
            f, y = forecasts[m, i], outcome[i]
            if math.isnan(f):
                continue
            error = y - f
            gained[n] = 2.0 * y * f
            saved[n] = y * y - error * error
            n += 1
            mae += abs(error)
            mse += error * error
            bias += error
            base_mae += abs(y)
            base_mse += y * y
            if f != 0.0 and y != 0.0:
                moved += 1.0
                hits += 1.0 if (f > 0.0) == (y > 0.0) else 0.0
        out[m, 0] = n
        if n == 0:
            continue
        out[m, 1], out[m, 2], out[m, 3] = mae / n, mse / n, bias / n
        if base_mae > 0.0:
            out[m, 4] = 1.0 - mae / base_mae
        if base_mse > 0.0:
            out[m, 5] = 1.0 - mse / base_mse
            out[m, 8] = horizon_error(saved[:n], horizon) * n / base_mse
        if moved > 0.0:
            out[m, 6] = hits / moved
        out[m, 7] = horizon_t(gained[:n], horizon)
    return out
