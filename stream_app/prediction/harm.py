"""Whether the published forecasts do harm, by a test that may be looked at after every outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from stream_app.scoring.chance import least_outcomes, recent_outcomes

BETS: Final = (0.02, 0.05, 0.125, 0.3)
"""Shares of the wealth that are bet: small ones find small harm, large ones large harm soon."""
_LIMIT: Final = 3.0
"""Outcomes beyond so many deviations count as that many: no bet can lose more than all."""


class HarmTest:
    """An e-process for "the published price's squared error is not above the last price's".

    Each outcome y of a forecast f gives the loss f^2 - 2 f y, in units of 6 |f| times the outcomes'
    recent deviation, cut to -1 and 1. Bets on it, each of a fixed share, make wealth; the mean
    wealth is the e-value (betting: Waudby-Smith and Ramdas 2024; comparing forecasters by e-values:
    Choe and Ramdas 2023). By Ville's inequality it exceeds 1 / a with a chance of at most a where
    there is no harm, however often it is checked. Of overlapping outcomes every h-th counts.

    Args:
        horizon_bars: how far ahead the forecasts look.
        bar_ms: length of a bar.
    """

    def __init__(self, *, horizon_bars: int, bar_ms: int) -> None:
        self._step_ms = horizon_bars * bar_ms
        self._bar_ms = bar_ms
        self._keep = 1.0 - 1.0 / recent_outcomes(horizon_bars)
        self._least = least_outcomes(horizon_bars)
        self._count = 0
        self._recent = self._squares = 0.0
        self._logs = [0.0] * len(BETS)
        """Of the wealth by each bet."""

    @property
    def e_value(self) -> float:
        """1 before anything is known; 1e300 and more is 1e300."""
        return sum(math.exp(min(log, 690.0)) for log in self._logs) / len(BETS)

    def take(self, ts_open: int, forecast: float, outcome: float) -> None:
        """Learn from a published forecast whose outcome has become known; log returns."""
        scale = 2.0 * _LIMIT * abs(forecast) * math.sqrt(self._squares / max(self._recent, 1.0))
        counts = self._count >= self._least and ts_open % self._step_ms < self._bar_ms
        if counts and scale > 0.0:
            loss = forecast * (forecast - 2.0 * outcome) / scale
            loss = min(max(loss, -1.0), 1.0)
            for at, bet in enumerate(BETS):
                self._logs[at] += math.log1p(bet * loss)
        self._count += 1
        self._recent = self._recent * self._keep + 1.0
        self._squares = self._squares * self._keep + outcome * outcome

    def state(self) -> list[float]:
        """What a restart needs, as JSON."""
        return [self._count, self._recent, self._squares, *self._logs]

    def restore(self, state: Sequence[float]) -> None:
        """Take over a `state`."""
        count, self._recent, self._squares, *self._logs = state
        self._count = int(count)
