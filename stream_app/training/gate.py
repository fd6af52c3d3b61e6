"""Whether freshly trained models may serve: what is broken is refused. Pure.

One day of bars cannot show which of two nearly equal models is the better one, so the gate does not
try. It looks for what no working training gives, on the rows that the models learned from.

Which figures are taken of what:

* Of each member: finite answers, no constant, not worse than the last price, not too good. A broken
  member among three good ones would hide in the ensemble.
* Of the ensemble: the same but for the constant, and the size of the forecasts and the comparison
  with the champion. What is published is the ensemble; a member that overfits a short window is
  larger than that on its own rows without being broken.
* The Kalman filter is not held to the last price or to the bound of what is too good. It is fitted
  to the likelihood of the bars and not to the outcomes, so these rows say nothing special of it.

A member that could not be trained and answers the last price is as it should be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from stream_app.models.catalog import KALMAN
from stream_app.scoring.chance import long_run_variance, mean_t

Check = Literal[
    "not_finite",
    "constant",
    "worse_than_last_price",
    "too_good",
    "too_large",
    "stale",
    "worse_than_champion",
]
"""What a challenger can be refused for, in the order in which it is looked at."""
ENSEMBLE: Final = "ensemble"

MOST_SKILL: Final = 0.25
"""R2 that prices could really give: above it forecasts are larger than MOST_SIZE allows anyway."""
NOISE_NUMBERS: Final = 400.0
"""Twice the free numbers that the members spend on noise. On random walks their R2 was about
k / (m + k), with k at most 210: the R2 that k parameters and ridge fit to m independent rows."""
MOST_SIZE: Final = 0.5
"""Root mean square of the ensemble's forecasts over that of the outcomes."""
BEYOND_CHANCE: Final = 3.0
"""The t above which a loss beside the last price's is no chance. Models are fitted to these rows,
so theirs is below 0; a model without any skill has one above 3 once in 700 times."""
BEYOND_CHAMPION: Final = 4.0
"""The same beside the champion, on a day or less: few rows and fat tails need more room."""
FEWEST_OUTCOMES: Final = 10
"""Independent outcomes below which the champion is not compared with."""
ROUNDING: Final = 1e-6
"""Answers that differ by less than this part of the largest are one constant."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What forecasts are on the rows that they were learned from."""

    finite: bool
    constant: bool
    r2: float
    """1 - squared error / that of the last price. NaN where the price does not move."""
    t: float
    """Of the squared error less the last price's: above 0 is worse."""
    size: float
    """Root mean square over that of the outcomes."""
    next_bar: float
    """Squared correlation with the very next bar's return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The challenger beside the champion, on the newest day that only the challenger has seen."""

    rows: int
    t: float
    """Of the challenger's squared error less the champion's; NaN where there is too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says of a challenger. Picklable."""

    check: Check | None
    """The first that it failed; None for a challenger that may serve."""
    reason: str
    """One line; empty for one that may serve."""
    figures: Mapping[str, float]
    """By what they are of, such as `lstm.r2`; without those that are not defined."""


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
        constant=float(np.ptp(answers)) <= ROUNDING * large,
        r2=-float(losses.mean()) / moved if moved else nan,
        t=mean_t(losses, 2 * horizon_bars),
        size=math.sqrt(float(np.square(answers).mean()) / moved) if moved else nan,
        next_bar=_squared_correlation(answers, next_bar),
    )


def _squared_correlation(one: _Floats, other: _Floats) -> float:
    known = np.isfinite(other)
    one, other = one[known] - one[known].mean(), other[known] - other[known].mean()
    scale = float(one @ one) * float(other @ other)
    return float(one @ other) ** 2 / scale if scale > 0 else math.nan


def compare(challenger: _Floats, champion: _Floats, outcomes: _Floats, horizon: int) -> Comparison:
    """The challenger's squared errors beside the champion's; all of shape (N,), log returns.

    The deviation of the mean is the larger one of Newey and West's and of that of N / horizon
    independent outcomes: with few rows the first is often far too small.
    """
    count = len(outcomes)
    if count < FEWEST_OUTCOMES * horizon:
        return Comparison(rows=count, t=math.nan)
    worse = np.square(outcomes - challenger) - np.square(outcomes - champion)
    variance = max(long_run_variance(worse, 2 * horizon), float(worse.var()) * horizon)
    t = float(worse.mean()) / math.sqrt(variance / count) if variance > 0 else math.nan
    return Comparison(rows=count, t=t)


def noise_r2(rows: int, horizon_bars: int) -> float:
    """The R2 that learning may give on its own rows where there is nothing to learn.

    Neighbouring outcomes overlap, so N rows are N / horizon independent ones.

    >>> round(noise_r2(8600, 1), 3), round(noise_r2(8600, 12), 3)
    (0.044, 0.358)
    """
    return NOISE_NUMBERS / (rows / horizon_bars + NOISE_NUMBERS)


def bounds(rows: int, horizon_bars: int) -> tuple[float, float]:
    """Above which R2 a forecast knows the future: over the horizon, and of the next bar.

    Noise leaves room, and real skill is added to it. Of what noise gives, the next bar has one part
    in `horizon_bars`, here doubled: that is where a model that looks one bar ahead shows at long
    horizons.
    """
    noise = noise_r2(rows, horizon_bars)
    of_next = min(1.0, 2 * noise / horizon_bars) if horizon_bars > 1 else noise
    return (
        MOST_SKILL + (1 - MOST_SKILL) * noise,
        MOST_SKILL + (1 - MOST_SKILL) * of_next,
    )


def judge(
    fits: Mapping[str, Fit],
    *,
    rows: int,
    horizon_bars: int,
    behind_s: float,
    champion: Comparison | None,
) -> Verdict:
    """Judge a challenger.

    Args:
        fits: by member, and of the ensemble; without members that answer the last price because
            they could not be trained.
        rows: how many the models learned from.
        horizon_bars: how many bars the outcomes reach ahead.
        behind_s: by how much the newest tick learned from is older than the window's newest.
        champion: None where none serves, or it cannot be read.
    """
    figures = {
        f"{name}.{what}": value
        for name, fit in fits.items()
        for what, value in (
            ("r2", fit.r2), ("t", fit.t), ("size", fit.size), ("next_bar", fit.next_bar),
        )
    }  # fmt: skip
    most, most_next = bounds(rows, horizon_bars)
    figures |= {"bound.r2": most, "bound.next_bar": most_next, "data.behind_s": behind_s}
    if champion is not None:
        figures |= {"champion.rows": champion.rows, "champion.t": champion.t}
    problem = next(_problems(fits, most, most_next, behind_s, champion), None)
    return Verdict(
        check=problem[0] if problem else None,
        reason=problem[1] if problem else "",
        figures={
            name: float(f"{value:.4g}") for name, value in figures.items() if math.isfinite(value)
        },
    )


def _problems(
    fits: Mapping[str, Fit],
    most: float,
    most_next: float,
    behind_s: float,
    champion: Comparison | None,
) -> Iterator[tuple[Check, str]]:
    """What is wrong, the plainest first; a comparison with NaN finds nothing."""
    for name, fit in fits.items():
        if not fit.finite:
            yield "not_finite", f"{name}: not all answers are finite"
        if fit.constant and name != ENSEMBLE:
            yield "constant", f"{name} always gives the same answer"
    if behind_s > 0:
        yield "stale", f"learned from data {behind_s:g} s older than the window's newest"
    for name, fit in fits.items():
        if name == KALMAN:
            continue
        if fit.t > BEYOND_CHANCE:
            yield (
                "worse_than_last_price",
                f"{name}: R2 {fit.r2:.2%} on the rows learned from, t {fit.t:.1f} above "
                f"{BEYOND_CHANCE:g}",
            )
        for value, bound, what in (
            (fit.r2, most, "what came"), (fit.next_bar, most_next, "the next bar"),
        ):  # fmt: skip
            if value > bound:
                yield (
                    "too_good",
                    f"{name}: knows {value:.1%} of {what} on the rows learned from; above "
                    f"{bound:.1%} it must have seen the future",
                )
    whole = fits[ENSEMBLE]
    if whole.size > MOST_SIZE:
        yield (
            "too_large",
            f"forecasts of {whole.size:.2f} times the outcomes' deviation; at most {MOST_SIZE:g} "
            "is believed",
        )
    if champion is not None and champion.t > BEYOND_CHAMPION:
        yield (
            "worse_than_champion",
            f"t {champion.t:.1f} above {BEYOND_CHAMPION:g} on the newest {champion.rows} rows, "
            "which only the challenger has seen",
        )
