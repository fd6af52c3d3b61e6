"""The bias correction: what the ensemble's own recent errors add to its forecast."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final, Literal

import numpy as np

from stream_app.scoring.chance import mean_t

BIAS_ERRORS: Final = 288
"""How many forecast errors the correction averages, or 24 horizons where that is more."""
BIAS_MIN_ERRORS: Final = 48
"""Below this many, or 8 horizons, the correction is 0: a mean of a few errors is noise."""
BEYOND_CHANCE: Final = 3.0
"""How many standard errors of the mean count as chance: one symbol in 370 exceeds them."""
BIAS_LIMIT: Final = 0.001
"""Bound of the correction, relative to the last price: ten basis points."""


class BiasCorrection:
    """The additive correction of the ensemble by its own recent forecast errors.

    Definition. Let f(i) be the ensemble's log return forecast, before correction, at the last
    tick of bar i, c(i) the bar's log close and h the horizon in bars. When bar i + h closes,
    the forecast error is e(i) = c(i + h) - c(i) - f(i). By time, bar i + h is the one that begins
    h bar lengths later, and if it has no ticks there is no error; by bars, it is the h-th one with
    ticks after bar i. A jump of the price on the way gives no error either. Training takes its
    targets the same way (`training/job.py`).
    The correction is the mean m of the last n = max(288, 24 h) errors, less what of it may be
    chance: m max(0, 1 - (3 / t)^2), where t is the mean's t with Bartlett's weights up to lag 2 h
    (errors of overlapping horizons are alike). It is 0 while n < max(48, 8 h), and bounded to
    +-0.001. This is the positive-part James-Stein rule (Efron & Morris 1973) with a threshold
    of three standard errors: what is left of a mean of pure noise costs about 0.01 % of R2, and
    of a constant error that is six standard errors large three quarters are taken out.
    `prediction = ensemble + last_price * value`. Errors made before a retrain count too: the
    correction belongs to the ensemble as it answered, not to one set of models.

    Args:
        horizon_ms: the horizon on the clock.
        horizon_bars: the same in bars.
        horizon_by: which of the two says where a horizon ends.
    """

    def __init__(
        self, *, horizon_ms: int, horizon_bars: int, horizon_by: Literal["time", "bars"] = "time"
    ) -> None:
        self._horizon_ms = horizon_ms
        self._horizon_bars = horizon_bars
        self._by_bars = horizon_by == "bars"
        self._lag = 2 * horizon_bars
        self._min_errors = max(BIAS_MIN_ERRORS, 8 * horizon_bars)
        self._errors: deque[float] = deque(maxlen=max(BIAS_ERRORS, 24 * horizon_bars))
        self._forecasts: dict[int, float] = {}
        self._closed: deque[tuple[int, float, float | None]] = deque()
        """Opening time, log close and forecast of the bars whose horizon is still to come."""
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
        if self._take_error(ts_open, log_close, jumped=jumped):
            self._update()
        forecast = self._forecasts.pop(ts_open, None)
        self._closed.append((ts_open, log_close, forecast))
        return forecast

    def _take_error(self, ts_open: int, log_close: float, *, jumped: bool) -> bool:
        """Take the error that this closed bar reveals; whether there is one."""
        if jumped:
            self._closed = deque((*item[:2], None) for item in self._closed)
        earlier = self._one_horizon_before(ts_open)
        if earlier is None or earlier[2] is None:
            return False
        self._errors.append(log_close - earlier[1] - earlier[2])
        return True

    def _one_horizon_before(self, ts_open: int) -> tuple[int, float, float | None] | None:
        """Take out the bar whose horizon this one is; bars that have missed theirs go too."""
        closed = self._closed
        if self._by_bars:
            return closed.popleft() if len(closed) == self._horizon_bars else None
        while closed and closed[0][0] < ts_open - self._horizon_ms:
            closed.popleft()
        if closed and closed[0][0] == ts_open - self._horizon_ms:
            return closed.popleft()
        return None

    def _update(self) -> None:
        if len(self._errors) < self._min_errors:
            return
        errors = np.array(self._errors)
        mean, t = float(errors.mean()), mean_t(errors, self._lag)
        # Errors that are all the same have no t: there is no chance in them.
        chance = 0.0 if math.isnan(t) else (BEYOND_CHANCE / t) ** 2 if t else math.inf
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
            self._take_error(ts_open, log_close, jumped=jumped)
            self._closed.append((ts_open, log_close, forecast))
        self._update()  # once: the value follows from the errors that are left
        self._forecasts = dict(state)
