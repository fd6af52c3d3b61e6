"""The bias correction: what the ensemble's own recent errors add to its forecast."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import numpy as np

from stream_app.scoring.chance import (
    least_outcomes,
    overlapping_t,
    recent_outcomes,
    share_beyond_chance,
)

BIAS_LIMIT: Final = 0.001
"""Bound of the correction, relative to the last price: ten basis points."""


class BiasCorrection:
    """The additive correction of the ensemble by its own recent forecast errors.

    The correction is the mean m of the last n = max(288, 24 h) errors (`Outcome.error`), less what
    of it may be chance: m max(0, 1 - (3 / t)^2), where t knows that errors of overlapping horizons
    are alike and that few of them say little (`overlapping_t`). It is 0 while n < max(48, 8 h), and
    bounded to +-0.001. This is the positive-part James-Stein rule (Efron & Morris 1973) with a
    threshold of three standard errors: what is left of a mean of pure noise costs about 0.01 % of
    R2, and of a constant error that is six standard errors large three quarters are taken out.
    `prediction = ensemble + last_price * value`. Errors made before a retrain count too: the
    correction belongs to the ensemble as it answered, not to one set of models.

    Args:
        horizon_bars: how far ahead the forecasts look.
    """

    def __init__(self, *, horizon_bars: int) -> None:
        self._horizon_bars = horizon_bars
        self._least = least_outcomes(horizon_bars)
        self._errors: deque[float] = deque(maxlen=recent_outcomes(horizon_bars))
        self.value = 0.0
        """Relative to the last price."""

    def take(self, errors: Iterable[float]) -> None:
        """Learn from errors that have become known, oldest first; the value follows at once."""
        self._errors.extend(errors)
        if len(self._errors) < self._least:
            return
        known = np.array(self._errors)
        share = share_beyond_chance(overlapping_t(known, self._horizon_bars))
        kept = min(max(float(known.mean()) * share, -BIAS_LIMIT), BIAS_LIMIT)
        self.value = kept + 0.0  # no -0.0
