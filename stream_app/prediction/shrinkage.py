"""How much of a forecast counts: as much as its own realised forecasts justify.

Two rules, both for forecasts f and outcomes y over a horizon of h bars whose neighbours share all
but one of h steps. Both take evidence as plain beyond three standard errors, whatever they expected
(positive-part James-Stein, Efron & Morris 1973), and give a factor from 0 to 1 by which the
distance from the last price is multiplied. docs/models.md has the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from stream_app.scoring.chance import BEYOND_CHANCE, least_outcomes, recent_outcomes

EXPECTED_R2: Final = 0.0005
"""What a member's forecasts of one bar are given before anything is known of them: they may vary
by so much of the outcomes' variance. A member that knows nothing costs as much until that shows."""
SPREAD_R2: Final = 0.001
"""How far what a member knows may be from the expected, as a share of the outcomes' variance: 0 to
0.3 % is what credible work finds at five minutes from prices alone. What is known of h bars is
known of the first of them (predictability is gone after minutes: Ait-Sahalia, Fan, Xue, Zhou 2022,
NBER w30366), so over h bars it is SPREAD_R2 / h, and EXPECTED_R2 / h is expected."""


class MemberSums(NamedTuple):
    """What is remembered of a member's outcomes, older ones less."""

    n: int = 0
    recent: float = 0.0
    """How many outcomes the two sums below hold."""
    ff: float = 0.0
    """Of f^2 over the recent outcomes."""
    yy: float = 0.0
    """Of y^2 over the same."""
    weight: float = 0.0
    """Of yy / ff, the inverse of the forecasts' variance, over the whole memory."""
    known: float = 0.0
    """Of f y recent / ff."""
    noise: float = 0.0
    """Of the squares of these, with the square of their decay."""


class MemberShrinkage:
    """The factor of one member.

    A forecast is signal and learned noise. Its covariance with the outcome, s = cov(f, y) / var(y),
    is that of the signal, whatever the noise; its size, q = var(f) / var(y), shrinks as the
    models learn from more rows. So s is estimated from the whole record, each outcome weighted by
    1 / q of its time, and q from the recent forecasts (`recent_outcomes`):

        s = known / weight,  v = h noise / weight^2
        s0 = sqrt(EXPECTED_R2 / h * q),  tau^2 = max(SPREAD_R2 / h * q, (s - s0)^2 - 9 v)
        factor = (s0 + (s - s0) tau^2 / (tau^2 + v)) / q, cut to 0 and 1

    the posterior mean of s over q. v is White's (1980) variance, so that wild times count as what
    they are. Below max(48, 8 h) outcomes the factor is 0.

    Args:
        horizon_bars: how far ahead the forecasts look.
        memory_bars: the weight of an outcome falls to 1/e over so many.
    """

    def __init__(self, *, horizon_bars: int, memory_bars: int) -> None:
        self._horizon_bars = horizon_bars
        self._keep = 1.0 - 1.0 / memory_bars
        self._keep_recent = 1.0 - 1.0 / recent_outcomes(horizon_bars)
        self._least = least_outcomes(horizon_bars)
        self.sums = MemberSums()
        self.factor = 0.0

    def take(self, forecast: float, outcome: float) -> None:
        """Learn from a forecast whose outcome has become known; both finite log returns."""
        old, keep, fresh = self.sums, self._keep, self._keep_recent
        n, recent = old.n + 1, old.recent * fresh + 1.0
        ff, yy = old.ff * fresh + forecast * forecast, old.yy * fresh + outcome * outcome
        weight, known, noise = old.weight, old.known, old.noise
        if n >= self._least and ff > 0.0:
            shown = forecast / ff * outcome * recent
            weight = weight * keep + yy / ff
            known = known * keep + shown
            noise = noise * keep * keep + shown * shown
        self.sums = MemberSums(n, recent, ff, yy, weight, known, noise)
        self.factor = self._worked_out()

    def _worked_out(self) -> float:
        sums, h = self.sums, self._horizon_bars
        if not sums.weight > 0.0 or sums.yy <= 0.0 or sums.ff <= 0.0:
            return 0.0
        size = sums.ff / sums.yy
        expected = math.sqrt(EXPECTED_R2 / h * size)
        gap = sums.known / sums.weight - expected
        variance = h * sums.noise / sums.weight / sums.weight
        spread = max(SPREAD_R2 / h * size, gap * gap - BEYOND_CHANCE**2 * variance)
        known = expected + gap * spread / (spread + variance)
        factor = known / size
        return min(max(factor, 0.0), 1.0) if math.isfinite(factor) else 0.0

    def restore(self, sums: Sequence[float]) -> None:
        """Take over the sums of a state."""
        self.sums = MemberSums(int(sums[0]), *sums[1:])
        self.factor = self._worked_out()


class HarmSums(NamedTuple):
    """What is remembered of the outcomes of the members' mean, older ones less."""

    n: int = 0
    ff: float = 0.0
    fy: float = 0.0
    ffyy: float = 0.0
    """Of f^2 y^2, with the square of the others' decay."""


class HarmShrinkage:
    """The factor of forecasts that are shrunk already, by one memory: 1, unless they do harm.

    b = fy / ff is the slope of the outcomes on the forecasts, v = h ffyy / ff^2 White's variance
    of it, tau^2 = max(0, (b - 1)^2 - 9 v):

        factor = 1 + (b - 1) tau^2 / (tau^2 + v), cut to 0 and 1

    Below max(48, 8 h) outcomes the factor is 1.

    Args:
        horizon_bars: how far ahead the forecasts look.
        memory_bars: the weight of an outcome falls to 1/e over so many.
    """

    def __init__(self, *, horizon_bars: int, memory_bars: int) -> None:
        self._horizon_bars = horizon_bars
        self._keep = 1.0 - 1.0 / memory_bars
        self._least = least_outcomes(horizon_bars)
        self.sums = HarmSums()
        self.factor = 1.0

    def take(self, forecast: float, outcome: float) -> None:
        """Learn from a forecast whose outcome has become known; both finite log returns."""
        old, keep, product = self.sums, self._keep, forecast * outcome
        self.sums = HarmSums(
            n=old.n + 1,
            ff=old.ff * keep + forecast * forecast,
            fy=old.fy * keep + product,
            ffyy=old.ffyy * keep * keep + product * product,
        )
        self.factor = self._worked_out()

    def _worked_out(self) -> float:
        n, ff, fy, ffyy = self.sums
        if n < self._least or ff <= 0.0:
            return 1.0
        gap = fy / ff - 1.0
        variance = self._horizon_bars * ffyy / ff / ff
        spread = gap * gap - BEYOND_CHANCE**2 * variance
        if not spread > 0.0:
            return 1.0
        return min(max(1.0 + gap * spread / (spread + variance), 0.0), 1.0)

    def restore(self, sums: Sequence[float]) -> None:
        """Take over the sums of a state."""
        self.sums = HarmSums(int(sums[0]), *sums[1:])
        self.factor = self._worked_out()


class EnsembleShrinkage:
    """The factor of the members' mean: the smaller one of a long and of a short memory.

    The long memory alone would go on forecasting, for days and against the evidence of today,
    momentum that has turned into its opposite. The short one is of `recent_outcomes`.

    Args:
        horizon_bars: how far ahead the forecasts look.
        memory_bars: the long memory; the weight of an outcome falls to 1/e over so many.
    """

    def __init__(self, *, horizon_bars: int, memory_bars: int) -> None:
        self.long = HarmShrinkage(horizon_bars=horizon_bars, memory_bars=memory_bars)
        self.recent = HarmShrinkage(
            horizon_bars=horizon_bars, memory_bars=recent_outcomes(horizon_bars)
        )

    @property
    def factor(self) -> float:
        """From 0 to 1."""
        return min(self.long.factor, self.recent.factor)

    def take(self, forecast: float, outcome: float) -> None:
        """Learn from a forecast whose outcome has become known; both finite log returns."""
        self.long.take(forecast, outcome)
        self.recent.take(forecast, outcome)
