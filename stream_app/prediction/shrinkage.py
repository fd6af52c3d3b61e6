"""How much of a forecast counts: as much as its own realised forecasts justify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from stream_app.scoring.chance import BEYOND_CHANCE, least_outcomes

PRIOR_R2: Final = 0.001
"""What a forecast of one bar is expected to explain of the variance before anything is known: 0 to
0.3 % is what credible work finds at five minutes from prices alone. What is known of h bars is
known of the first of them (predictability is gone after minutes: Ait-Sahalia, Fan, Xue, Zhou 2022,
NBER w30366), so over h bars it is PRIOR_R2 / h."""


class Sums(NamedTuple):
    """Of forecasts f and outcomes y, log returns over the horizon; older ones count less."""

    n: int = 0
    ff: float = 0.0
    fy: float = 0.0
    yy: float = 0.0
    ffyy: float = 0.0
    """Of f^2 y^2, with the square of the others' decay: the variance of `fy`."""


class Shrinkage:
    """The factor of one forecaster, from 0 to 1, by which its distance from the last price counts.

    The factor is the posterior mean of the slope b in y = b f + noise, cut to 0 and 1:

        b = fy / ff,  v = h ffyy / ff^2,  tau^2 = max(PRIOR_R2 / h * yy / ff, (b - b0)^2 - 9 v)
        factor = b0 + (b - b0) tau^2 / (tau^2 + v)

    v is White's (1980) variance of the slope, so that calm and wild times count as they must,
    times h, for outcomes that overlap share all but one of h steps. The prior of b is normal with
    the mean b0 and a variance that makes b f explain PRIOR_R2 / h of the outcomes. Evidence beyond
    three standard errors widens it (positive-part James-Stein, Efron & Morris 1973), so that
    what is plain is kept at any horizon. A member starts at the safe side, b0 = 0: its forecasts
    count only as they prove themselves. What chance makes of a worthless one costs PRIOR_R2 / 4h
    of the last price's squared error on average. The ensemble of such members starts at b0 = 1: it
    is taken back only when it does harm although its members are shrunk.

    Below max(48, 8 h) outcomes the factor is b0. Older outcomes fade over `memory_bars`.

    Args:
        horizon_bars: how far ahead the forecasts look.
        memory_bars: the weight of an outcome falls to 1/e over so many.
        prior: b0.
    """

    def __init__(self, *, horizon_bars: int, memory_bars: int, prior: Literal[0, 1]) -> None:
        self._horizon_bars = horizon_bars
        self._keep = 1.0 - 1.0 / memory_bars
        self._prior = float(prior)
        self._least = least_outcomes(horizon_bars)
        self.sums = Sums()
        self.factor = self._prior

    def take(self, forecast: float, outcome: float) -> None:
        """Learn from a forecast whose outcome has become known; both finite log returns."""
        keep, old = self._keep, self.sums
        product = forecast * outcome
        self.sums = Sums(
            n=old.n + 1,
            ff=old.ff * keep + forecast * forecast,
            fy=old.fy * keep + product,
            yy=old.yy * keep + outcome * outcome,
            ffyy=old.ffyy * keep * keep + product * product,
        )
        self.factor = self._worked_out()

    def _worked_out(self) -> float:
        n, ff, fy, yy, ffyy = self.sums
        if n < self._least or ff <= 0.0 or yy <= 0.0:
            return self._prior
        gap = fy / ff - self._prior
        variance = self._horizon_bars * ffyy / ff / ff
        spread = max(
            PRIOR_R2 / self._horizon_bars * yy / ff, gap * gap - BEYOND_CHANCE**2 * variance
        )
        if spread <= 0.0:
            return self._prior  # sums too small for a float
        return min(max(self._prior + gap * spread / (spread + variance), 0.0), 1.0)

    def restore(self, sums: Sequence[float]) -> None:
        """Take over the sums of a state."""
        self.sums = Sums(int(sums[0]), *sums[1:])
        self.factor = self._worked_out()
