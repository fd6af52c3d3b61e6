"""Prediction intervals with the stated coverage: conformal PID control without a scorecaster.

For each level two trackers, one for each bound, of the quantiles of the signed score

    s = (log return that came - published log return) / volatility forecast.

With a the share that may lie beyond the bound (half of 1 - level), err = 1 when the outcome did
and 0 when not, and B the largest recent |s|:

    q <- q + rate B (err - a)                                      quantile tracking
    bound = q + K_I B tan(E log(n + 1) / (C_SAT (n + 1)))          integrator

where E is the sum of err - a over the n outcomes so far, but for those that would push a bound
beyond a limit that it is at. An interval holds its forecast, so of a price that stands still it
holds all outcomes; these are not paid back with narrow intervals when the price moves again
(conditional integration: Astrom, Hagglund 1995, PID Controllers). Angelopoulos, Candes, Tibshirani
(2023), Conformal PID Control for Time Series Prediction, section 2; no learned scorecaster. An
outcome is known h bars after its forecast, so the feedback is h bars late (Wang, Hyndman 2024,
Online Conformal Inference for Multi-Step Time Series Forecasting).

Over any period the mean of err differs from a by the change in q, divided by rate B and the
period's length, whatever prices do: a larger rate keeps the coverage over short periods, a smaller
one gives narrower intervals. The paper names 0.01 to 0.1. Outcomes of overlapping horizons miss in
runs of up to h, which moves q by chance. Divided by h, the rate would move it by chance as little
as at a horizon of one bar, but keep short periods worse; it is divided by h^(3/4). The constants
were chosen on synthetic series, none on recorded prices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, NamedTuple

RATE: Final = 0.025
"""For a horizon of one bar."""
K_I: Final = 0.2
C_SAT: Final = 2.0 / math.pi
"""By the paper's rule, (2 / pi) ceil(d log T), for a share d of 1 % and any T below e^100."""
BURN_IN: Final = 100
"""The integrator begins after so many outcomes, as in the paper's code."""
MEMORY: Final = 288
"""The largest score is forgotten with this half-life, in outcomes. The paper takes the largest of
the last ones; this one has no steps, and is one number."""
LEAST_LARGEST: Final = 3.0
"""The largest score counts as at least this: so large is that of some hundred normal ones."""
MOST_SCORE: Final = 20.0
"""A score beyond counts as this, and no bound is further away: one error of the feed must not move
the bounds for days, and every bound is a finite price above 0."""
_KEPT: Final = 2.0 ** (-1.0 / MEMORY)
_STEEPEST: Final = math.atan(MOST_SCORE)
"""Where the tangent is cut, before it is infinite."""


class Bound(NamedTuple):
    """How far one interval reaches from the published forecast, in volatilities, 0 or more."""

    level: float
    low: float
    high: float


def returns_of(
    bounds: Iterable[Bound], *, published: float, volatility: float
) -> tuple[tuple[float, float, float], ...]:
    """Level, low and high of each interval, log returns over the horizon.

    Args:
        bounds: as `IntervalTrackers.bounds`.
        published: the published forecast, a log return.
        volatility: the forecast of the deviation over the horizon, a log return.

    >>> returns_of([Bound(0.9, 2.0, 1.0)], published=0.5, volatility=0.25)
    ((0.9, 0.0, 0.75),)
    """
    return tuple(
        (level, published - low * volatility, published + high * volatility)
        for level, low, high in bounds
    )


@dataclass(slots=True)
class _Tracker:
    """One bound of one level, as a distance from the published forecast in volatilities."""

    quantile: float
    excess: float = 0.0
    """Sum of err less its target, where the bound was free to move."""
    count: int = 0

    def take(self, *, missed: bool, share: float, gain: float, bound: float) -> None:
        """Learn from an outcome; `bound` is the one in force."""
        err = (1.0 if missed else 0.0) - share
        self.quantile = min(max(self.quantile + gain * err, 0.0), MOST_SCORE)
        if bound < MOST_SCORE if missed else bound > 0.0:
            self.excess += err
        self.count += 1

    def bound(self, largest: float) -> float:
        if self.count < BURN_IN:
            return self.quantile
        after = self.count + 1
        angle = self.excess * math.log(after) / (C_SAT * after)
        integrator = K_I * largest * math.tan(min(max(angle, -_STEEPEST), _STEEPEST))
        return min(max(self.quantile + integrator, 0.0), MOST_SCORE)


class IntervalTrackers:
    """The intervals of one symbol, which learn from each outcome.

    >>> found = IntervalTrackers(levels=(0.5, 0.9), horizon_bars=1)
    >>> [(level, round(low, 3), round(high, 3)) for level, low, high in found.bounds]
    [(0.5, 0.674, 0.674), (0.9, 1.645, 1.645)]

    Args:
        levels: strictly increasing, above 0 and below 1.
        horizon_bars: how late the feedback is.
    """

    def __init__(self, *, levels: Sequence[float], horizon_bars: int) -> None:
        self._rate = RATE / horizon_bars**0.75
        self._largest = LEAST_LARGEST
        self._trackers: dict[float, tuple[_Tracker, _Tracker]] = {}
        """By level, of the low bound and of the high one. The cold start is normal."""
        for level in levels:
            quantile = NormalDist().inv_cdf(min((1.0 + level) / 2.0, 1.0 - 1e-12))
            self._trackers[level] = (_Tracker(quantile), _Tracker(quantile))
        self.bounds = self._worked_out()
        """The intervals in force, another tuple after each outcome."""

    def _worked_out(self) -> tuple[Bound, ...]:
        """The intervals as they are now. Each holds 0 and those of smaller levels."""
        low = high = 0.0
        found = []
        for level, (below, above) in self._trackers.items():
            low = max(low, below.bound(self._largest))
            high = max(high, above.bound(self._largest))
            found.append(Bound(level, low, high))
        return tuple(found)

    def take(
        self,
        outcome: float,
        *,
        published: float,
        volatility: float,
        intervals: Iterable[Sequence[float]],
    ) -> None:
        """Learn from an outcome.

        Args:
            outcome: the log return that came over the horizon.
            published: the one that was forecast.
            volatility: as it was forecast, above 0.
            intervals: level, low and high as they were published, log returns as `outcome`.
                A level that was not published then learns nothing.
        """
        score = min(abs(outcome - published) / volatility, MOST_SCORE)
        known = self._largest
        self._largest = max(score, LEAST_LARGEST, self._largest * _KEPT)
        gain = self._rate * self._largest
        for level, low, high in intervals:
            if level in self._trackers:
                below, above = self._trackers[level]
                share = (1.0 - level) / 2.0
                for each, missed in ((below, outcome < low), (above, outcome > high)):
                    each.take(missed=missed, share=share, gain=gain, bound=each.bound(known))
        self.bounds = self._worked_out()

    def state(self) -> dict[str, Any]:
        """What a restart needs, as JSON values; see `restore`."""
        return {
            "largest": self._largest,
            "trackers": [
                [level, *([each.quantile, each.excess, each.count] for each in pair)]
                for level, pair in self._trackers.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a `state`, exactly; a level that it does not have stays at its cold start."""
        self._largest = state["largest"]
        for level, below, above in state["trackers"]:
            if level in self._trackers:
                self._trackers[level] = (_Tracker(*below), _Tracker(*above))
        self.bounds = self._worked_out()
