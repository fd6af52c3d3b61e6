"""The bias correction: what the ensemble's own recent errors add to its forecast."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

BIAS_ERRORS: Final = 48
"""How many forecast errors the bias correction averages: four hours of five-minute bars."""
BIAS_MIN_ERRORS: Final = 12
"""Below this many the correction is 0: a mean of a few errors is noise."""
BIAS_LIMIT: Final = 0.001
"""Bound of the correction, relative to the last price: ten basis points."""


class BiasCorrection:
    """The additive correction of the ensemble by its own recent forecast errors.

    Definition. Let f(i) be the ensemble's log return forecast, before correction, at the last
    tick of bar i, c(i) the bar's log close and h the horizon in bars. When bar i + h closes,
    the forecast error is e(i) = c(i + h) - c(i) - f(i); a horizon bar without ticks, or a jump
    of the price on the way, gives none. The correction is the mean m of the last n = 48 errors,
    shrunk by what of it may be chance, m max(0, 1 - s^2 / (n m^2)) with their variance s^2 (the
    positive-part James-Stein rule; Efron & Morris 1973), 0 while n < 12, and bounded to
    +-0.001. Errors that only scatter around 0 so give a correction near 0, where their bare
    mean would add noise. `prediction = ensemble + last_price * value`. Errors made before a
    retrain count on: the correction belongs to the ensemble as it answered, not to one set of
    models.
    """

    def __init__(self, *, horizon_ms: int) -> None:
        self._horizon_ms = horizon_ms
        self._errors: deque[float] = deque(maxlen=BIAS_ERRORS)
        self._forecasts: dict[int, float] = {}
        self._pending: dict[int, tuple[float, float]] = {}
        self.value = 0.0
        """Relative to the last price."""

    def note(self, ts_open: int, forecast: float) -> None:
        """The ensemble's log return forecast at what is so far the last tick of a bar."""
        self._forecasts[ts_open] = forecast

    def close(self, ts_open: int, log_close: float, *, jumped: bool = False) -> float | None:
        """A bar has closed: take the error of the bar one horizon before it.

        Args:
            ts_open: the bar's.
            log_close: the bar's.
            jumped: whether the price jumped into this bar. Then no forecast from before it has an
                error: none could know.

        Returns:
            The forecast made at the closed bar's last tick, if one was.
        """
        if jumped:
            self._pending.clear()
        earlier = self._pending.pop(ts_open - self._horizon_ms, None)
        if earlier is not None:
            self._errors.append(log_close - earlier[0] - earlier[1])
            self._update()
        for missed in [ts for ts in self._pending if ts < ts_open - self._horizon_ms]:
            del self._pending[missed]
        forecast = self._forecasts.pop(ts_open, None)
        if forecast is not None:
            self._pending[ts_open] = (log_close, forecast)
        return forecast

    def _update(self) -> None:
        if len(self._errors) >= BIAS_MIN_ERRORS:
            count = len(self._errors)
            mean = math.fsum(self._errors) / count
            variance = math.fsum((error - mean) ** 2 for error in self._errors) / (count - 1)
            chance = variance / (count * mean * mean) if mean else 1.0
            self.value = min(max(mean * max(0.0, 1.0 - chance), -BIAS_LIMIT), BIAS_LIMIT)

    def state(self) -> list[tuple[int, float]]:
        """What a restart needs beside the closed bars: the forecasts of the open ones, as JSON."""
        return list(self._forecasts.items())

    def restore(
        self,
        closed: Iterable[tuple[int, float, float | None, bool]],
        state: Iterable[tuple[int, float]],
    ) -> None:
        """Take over what was.

        Args:
            closed: opening time, log close and forecast of the closed bars, oldest first, and
                whether the price jumped into them.
            state: as `state` gave it when the last of them closed, or later.
        """
        for ts_open, log_close, forecast, jumped in closed:
            if forecast is not None:
                self.note(ts_open, forecast)
            self.close(ts_open, log_close, jumped=jumped)
        self._forecasts = dict(state)
