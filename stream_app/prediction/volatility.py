"""How far a price usually moves over the horizon: realised volatility times a time-of-day factor.

The range of a bar is the measure of its volatility. Of a random walk with deviation s a bar the
expected range is s sqrt(8 / pi) (Feller 1951, The Asymptotic Distribution of the Range of Sums of
Independent Random Variables). It tells five times as much as the return does (Parkinson 1980, The
Extreme Value Method for Estimating the Variance of the Rate of Return), and its first power is
not ruled by single large moves as squares are (Alizadeh, Brandt, Diebold 2002).

Each range is divided by the factor of its hour of the day, and two exponential averages are taken,
one over half an hour and one over four hours (half-lives in bars of five minutes): volatility
clusters for long, and a mean of a quick and a slow average forecasts it better than either (Corsi
2009, A Simple Approximate Long-Memory Model of Realized Volatility). The forecast is their
weighted mean times the factors of the hours that the horizon covers, by the square root of time.

The constants follow from these sources and from synthetic series (GARCH, and stochastic volatility
with heavy tails, a time-of-day pattern, a step by 3). None was chosen on recorded prices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

QUICK_BARS: Final = 6
SLOW_BARS: Final = 48
"""Half-lives of the two averages."""
QUICK_SHARE: Final = 0.7
"""Of the quick one. After a step by 3 the forecast has made 0.8 of it in 36 bars."""
PRIOR_BARS: Final = 3
"""The cold start counts as so many bars."""
MAX_GAP_BARS: Final = 12
"""After a longer gap the market may have been closed, and does not move by the square root of
time: the first bar then says nothing of the volatility."""
FACTOR_DAYS: Final = 10.0
"""Half-life of what is known of an hour of the day."""
FACTOR_PRIOR_DAYS: Final = 1.5
"""A factor is shrunk to 1 as if it had been 1 on so many days. The volatility of one hour differs
from day to day by about a third, and so it does from hour to hour of a day: a day's hour is worth
about as much as the prior knowledge that hours are alike."""
MOST_RATIO: Final = 8.0
"""A bar that is wilder than so many ordinary ones tells of itself, not of its hour."""
LEAST: Final = 1e-8
"""No forecast is smaller, a log return a bar: a price that stands still will move again."""
_RANGE: Final = math.sqrt(8.0 / math.pi)
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


def _step(half_life: float) -> float:
    """The weight of the newest value in an average of this half-life."""
    return 1.0 - 2.0 ** (-1.0 / half_life)


class VolatilityForecast:
    """The volatility of one symbol, updated when a bar closes.

    >>> found = VolatilityForecast(bar_ms=300_000, horizon_bars=4)
    >>> found.start(1e-3)
    >>> round(found.ahead_of(0), 6)
    0.002

    Args:
        bar_ms: length of a bar.
        horizon_bars: how far ahead.
    """

    def __init__(self, *, bar_ms: int, horizon_bars: int) -> None:
        self._bar_ms = bar_ms
        self._horizon_ms = bar_ms * horizon_bars
        self._steps = (_step(QUICK_BARS), _step(SLOW_BARS), _step(max(12.0, _DAY_MS / bar_ms)))
        hour_bars = max(1.0, _HOUR_MS / bar_ms)
        self._factor_step = _step(FACTOR_DAYS * hour_bars)
        self._factor_prior = FACTOR_PRIOR_DAYS * hour_bars
        self._bars = 0
        """How many bars have counted, until the slowest average forgets the start."""
        self._before: float | None = None
        """Log close of the bar before."""
        self._levels = [0.0, 0.0, 0.0]
        """Deviation a bar at an ordinary hour: quick, slow, and of a day, log returns."""
        self._ratios = [1.0] * 24
        """By hour, mean of the deviation divided by that of a day."""
        self._counts = [0] * 24
        self._squares = [1.0] * 24
        """By hour, the factor's square."""

    def start(self, deviation: float) -> None:
        """The cold start, before any bar has counted; later calls change nothing.

        Args:
            deviation: of one bar, a log return, positive.
        """
        if not self._levels[0]:
            self._levels = [max(deviation, LEAST)] * 3

    def close(
        self,
        ts_open: int,
        log_high: float,
        log_low: float,
        log_close: float,
        *,
        empty_before: int,
        jumped: bool,
    ) -> None:
        """A bar has closed; `start` was called.

        A bar that the price jumped into says nothing of the volatility.

        Args:
            ts_open: opening time, epoch milliseconds.
            log_high: without what mistaken ticks have made.
            log_low: the same.
            log_close: the bar's.
            empty_before: how many bars without a tick lie before it.
            jumped: whether the step into the bar is not believed.
        """
        before, self._before = self._before, log_close
        if before is None or jumped or empty_before > MAX_GAP_BARS:
            return
        distance = max(log_high, before) - min(log_low, before)
        moved = distance / (_RANGE * math.sqrt(empty_before + 1))
        hour = ts_open // _HOUR_MS % 24
        ordinary = moved / math.sqrt(self._squares[hour])
        self._learn_hour(hour, moved / self._levels[2])
        self._bars += 1
        least = 1.0 / (self._bars + PRIOR_BARS)
        self._levels = [
            max(level + max(step, least) * (ordinary - level), LEAST)
            for level, step in zip(self._levels, self._steps, strict=True)
        ]

    def _learn_hour(self, hour: int, ratio: float) -> None:
        self._counts[hour] += 1
        step = max(self._factor_step, 1.0 / self._counts[hour])
        self._ratios[hour] += step * (min(ratio, MOST_RATIO) - self._ratios[hour])
        self._squares[hour] = self._square(hour)

    def _square(self, hour: int) -> float:
        known = min(self._counts[hour], 1.0 / self._factor_step)
        share = known / (known + self._factor_prior)
        factor = 1.0 + share * (self._ratios[hour] - 1.0)
        return factor * factor

    def ahead_of(self, ts_open: int) -> float:
        """The deviation of the log return over the horizon, of forecasts made in one bar.

        Args:
            ts_open: of the bar, epoch milliseconds; the horizon begins where it ends.
        """
        level = QUICK_SHARE * self._levels[0] + (1.0 - QUICK_SHARE) * self._levels[1]
        start = ts_open + self._bar_ms
        days, rest = divmod(self._horizon_ms, _DAY_MS)
        total = days * _HOUR_MS * math.fsum(self._squares) if days else 0.0
        end = start + rest
        while start < end:
            upto = min(end, start - start % _HOUR_MS + _HOUR_MS)
            total += (upto - start) * self._squares[start // _HOUR_MS % 24]
            start = upto
        return max(level, LEAST) * math.sqrt(total / self._bar_ms)

    def state(self) -> dict[str, Any]:
        """What a restart needs, as JSON values; see `restore`."""
        return {
            "bars": self._bars,
            "before": self._before,
            "levels": self._levels,
            "ratios": self._ratios,
            "counts": self._counts,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a `state`, exactly."""
        self._bars, self._before = state["bars"], state["before"]
        self._levels, self._ratios = [*state["levels"]], [*state["ratios"]]
        self._counts = [*state["counts"]]
        self._squares = [self._square(hour) for hour in range(24)]
