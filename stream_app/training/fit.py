"""The figures that the gate judges a challenger by, and what the rows allow. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.scoring.chance import mean_t, overlapping_variance

SKILL: Final = 0.02
"""R2 that models may really have beyond what the last returns tell in a line: ten times of what
prices of liquid markets give."""
LINEAR_SHARE: Final = 2.0
"""Times which the R2 of a line through the last returns is believed: prices that bounce between bid
and ask can be foretold, and models may find more in it than a line."""
LINEAR_LAGS: Final = 12
"""How many returns the line goes through."""
NOISE_NUMBERS: Final = 400.0
"""Twice the free numbers that the members spend on noise. On random walks their R2 was about
k / (m + k), with k at most 210: the R2 that k parameters and ridge fit to m independent rows."""
FEWEST_OUTCOMES: Final = 10
"""Independent outcomes below which the champion is not compared with."""
ROUNDING: Final = 1e-6
"""Answers that differ by less than this part of the largest are one constant."""

DRIFT_BARS: Final = 2
"""From this horizon on a window may hold too few outcomes to split a tree (`leaf_rows`). It then
answers what is left of the outcomes' mean."""
DRIFT_SIZE: Final = 0.02
"""How far from the mean such an answer may be, as a share of the outcomes' root mean square: trees
learn from samples of the rows."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What forecasts are on the rows that they were learned from."""

    finite: bool
    constant: bool
    """Whether all answers are the same, and more than the drift that a long horizon leaves."""
    r2: float
    """1 - squared error / that of the last price. NaN where the price does not move."""
    t: float
    """Of the squared error less the last price's: above 0 is worse."""
    size: float
    """Root mean square over that of the outcomes."""
    next_bar: float
    """Squared correlation with the very next bar's return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a model cannot reach on the rows that it learned from unless it is broken."""

    r2: float
    next_bar: float
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The challenger against the champion, on the newest day that only the challenger has seen."""

    rows: int
    t: float
    """Of the challenger's squared error less the champion's; NaN where there is too little."""


def fit_of(answers: _Floats, outcomes: _Floats, next_bar: _Floats, horizon_bars: int) -> Fit:
    """The figures of forecasts.

    Args:
        answers: log returns, shape (N,).
        outcomes: the log returns that came over the horizon, shape (N,).
        next_bar: those of the next bar alone, shape (N,); NaN where there is none.
        horizon_bars: neighbouring outcomes share all but one of so many bars.
    """
    finite = bool(np.isfinite(answers).all())
    nan = math.nan
    if not finite:
        return Fit(finite=False, constant=False, r2=nan, t=nan, size=nan, next_bar=nan)
    losses = np.square(outcomes - answers) - np.square(outcomes)
    moved = float(np.square(outcomes).mean())
    large = float(np.abs(answers).max())
    return Fit(
        finite=True,
        constant=float(np.ptp(answers)) <= ROUNDING * large
        and not (horizon_bars >= DRIFT_BARS and large <= _drift(outcomes)),
        r2=-float(losses.mean()) / moved if moved else nan,
        t=mean_t(losses, 2 * horizon_bars),
        size=math.sqrt(float(np.square(answers).mean()) / moved) if moved else nan,
        next_bar=_squared_correlation(answers, next_bar),
    )


def _drift(outcomes: _Floats) -> float:
    return abs(float(outcomes.mean())) + DRIFT_SIZE * math.sqrt(float(np.square(outcomes).mean()))


def _squared_correlation(one: _Floats, other: _Floats) -> float:
    known = np.isfinite(other)
    if not known.any():
        return math.nan
    one, other = one[known] - one[known].mean(), other[known] - other[known].mean()
    scale = float(one @ one) * float(other @ other)
    return float(one @ other) ** 2 / scale if scale > 0 else math.nan


def compare(challenger: _Floats, champion: _Floats, outcomes: _Floats, horizon: int) -> Comparison:
    """The challenger's squared errors against the champion's; all of shape (N,), log returns.

    The deviation of the mean is the larger one of Newey and West's and of that of N / horizon
    independent outcomes: with few rows the first is often far too small.
    """
    count = len(outcomes)
    if count < FEWEST_OUTCOMES * horizon:
        return Comparison(rows=count, t=math.nan)
    worse = np.square(outcomes - challenger) - np.square(outcomes - champion)
    variance = overlapping_variance(worse, horizon)
    t = float(worse.mean()) / math.sqrt(variance / count) if variance > 0 else math.nan
    return Comparison(rows=count, t=t)


def noise_r2(rows: int, horizon_bars: int) -> float:
    """The R2 that learning may give on its own rows where there is nothing to learn.

    Neighbouring outcomes overlap, so N rows are N / horizon independent ones.

    >>> round(noise_r2(8600, 1), 3), round(noise_r2(8600, 12), 3)
    (0.044, 0.358)
    """
    return NOISE_NUMBERS / (rows / horizon_bars + NOISE_NUMBERS)


def linear_r2(past: _Floats, outcomes: _Floats, horizon_bars: int) -> float:
    """The R2 of least squares through past returns, less what noise gives; at least 0.

    Args:
        past: shape (N, K): the K returns before each row.
        outcomes: shape (N,), finite.
        horizon_bars: neighbouring outcomes share all but one of so many bars.
    """
    moved = float(outcomes @ outcomes)
    if not moved:
        return 0.0
    left = outcomes - past @ np.linalg.lstsq(past, outcomes, rcond=None)[0]
    noise = past.shape[1] * horizon_bars / len(outcomes)
    return float(max(0.0, 1 - float(left @ left) / moved - noise))


def bounds(rows: int, horizon_bars: int, *, linear: float, linear_next: float) -> Bounds:
    """Above which figures a model must be broken: what noise gives, and skill on top.

    * R2: more is not learned but seen in the future.
    * Of the next bar: a model that looks one bar ahead shows there at long horizons. Of what noise
      gives over the horizon, one bar has one part in `horizon_bars`. Here it is doubled, because
      the squared correlation of a regularised model is up to four times its R2. One bar ahead, R2
      itself tells, and this is not asked: on made prices an ordinary model had 14.6 %.
    * Size: forecasts by least squares have a variance of R2 times that of the outcomes, and those
      of regularised models have less. So more than the root of the bound is out of scale.

    Args:
        rows: how many were learned from.
        horizon_bars: how many bars their outcomes reach ahead.
        linear: `linear_r2` over the horizon.
        linear_next: the same of the next bar.
    """
    noise = noise_r2(rows, horizon_bars)
    r2, next_bar = (
        min(1.0, SKILL + LINEAR_SHARE * known + noisy)
        for known, noisy in ((linear, noise), (linear_next, 2 * noise / horizon_bars))
    )
    return Bounds(r2=r2, next_bar=next_bar if horizon_bars > 1 else 1.0, size=math.sqrt(r2))
