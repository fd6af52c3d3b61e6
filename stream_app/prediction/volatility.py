"""How far a price usually moves over the horizon: realised volatility times a time-of-day factor.

The range of a bar is the measure of its volatility. Of a random walk with deviation s a bar the
expected range is s sqrt(8 / pi) (Feller 1951, The Asymptotic Distribution of the Range of Sums of
Independent Random Variables). It tells five times as much as the return does (Parkinson 1980, The
Extreme Value Method for Estimating the Variance of the Rate of Return), and its first power is
not ruled by single large moves as squares are (Alizadeh, Brandt, Diebold 2002).

Each range is divided by the factor of its hour of the day, and two exponential averages are taken,
a quick and a slow one: volatility clusters for long, and their mean forecasts it better than either
(Corsi 2009, A Simple Approximate Long-Memory Model of Realized Volatility). The forecast is that
mean times the factors of the hours that the horizon covers, by the square root of time.

At a tick the forming bar counts too, as far as it has come. After a share t of a bar the expected
range is sqrt(t) times the whole bar's, so the averages take its range over sqrt(t) with t times
the weight of a closed bar.

The range of few ticks is smaller than that of the whole walk, at one tick a bar half as large; a
return does not depend on the ticks in between. The expected size of a return is half the expected
range of a walk, so twice the returns over the ranges, of many bars, is what ranges are too small
by, and the forecast is multiplied by it. It counts from 1, all ticks, to 2, one a bar: where a
price bounces inside bars it is below, and a bounce that ends must not find intervals too narrow.

The constants follow from these sources and from synthetic series (GARCH, and stochastic volatility
with heavy tails, a time-of-day pattern, a step by 3). None was chosen on recorded prices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from stream_app.clock import DAY_MS, HOUR_MS
from stream_app.compiled import compiled, types

QUICK_BARS: Final = 6
SLOW_BARS: Final = 96
"""Half-lives of the two averages: half an hour and eight hours of five-minute bars."""
QUICK_SHARE: Final = 0.75
"""Of the quick one. After a step by 3 the forecast has made 0.8 of it in 36 bars. With a smaller
share it would be slower, with a larger one it would exaggerate the wildest times."""
PRIOR_BARS: Final = 3
"""The cold start counts as so many bars."""
MAX_GAP_BARS: Final = 12
"""After more empty bars the market may have been closed, and did not move by the square root of
time: the first bar then says nothing of the volatility."""
FACTOR_DAYS: Final = 10.0
"""Half-life of what is known of an hour of the day, and of how far ranges reach."""
FACTOR_PRIOR_DAYS: Final = 1.5
"""A factor is shrunk to 1 as if it had been 1 on so many days. The volatility of one hour differs
from day to day by about a third, and so it does from hour to hour of a day: a day's hour is worth
about as much as the prior knowledge that hours are alike."""
MOST_RATIO: Final = 8.0
"""A bar more volatile than so many ordinary ones is an outlier, not typical of its hour."""
REACH_PRIOR_BARS: Final = 36
"""What ranges are too small by is shrunk to 1 as if it had been 1 in so many bars: one bar tells it
with a deviation of 0.6, and it differs by about 0.1 between symbols with many ticks."""
LEAST: Final = 1e-8
"""No level is smaller, a log return a bar: a price that stands still will move again."""
MOST: Final = 1.0
"""No forecast is larger, a log return over the horizon: a factor of e."""
_RANGE: Final = math.sqrt(8.0 / math.pi)


def _step(half_life: float) -> float:
    """The weight of the newest value in an average of this half-life."""
    return 1.0 - math.exp2(-1.0 / half_life)


class BarVolatility(NamedTuple):
    """What a tick of one bar needs to know; see `volatility_at`."""

    ts_open: int
    """Epoch milliseconds."""
    bar_ms: int
    level: float
    fade: float
    gain: float
    before: float
    """Log close of the bar before."""


_NO_BAR: Final = BarVolatility(-1, 0, 0.0, 0.0, 0.0, 0.0)


@compiled(types.float64(*8 * (types.float64,)))
def volatility_at(  # noqa: PLR0917 - compiled functions take no keywords
    passed: float,
    level: float,
    fade: float,
    gain: float,
    before: float,
    log_high: float,
    log_low: float,
    limit: float,
) -> float:
    """The forecast at a tick: level - t fade + sqrt(t) gain (range so far), cut to MOST.

    Args:
        passed: t, the share of the bar that has passed.
        level: as in `BarVolatility`, as what follows.
        fade: the same.
        gain: the same.
        before: the same.
        log_high: the highest price of the forming bar so far.
        log_low: the lowest.
        limit: the largest step that is believed, a log return; beyond it the forming bar does not
            count.
    """
    distance = (log_high if log_high > before else before) - (
        log_low if log_low < before else before
    )
    if distance > limit:
        return level
    forecast = level - passed * fade + math.sqrt(passed) * gain * distance
    return forecast if forecast < MOST else MOST


class VolatilityForecast:
    """The volatility of one symbol, updated when a bar closes.

    >>> found = VolatilityForecast(bar_ms=300_000, horizon_bars=4, start=1e-3)
    >>> round(found.at(0, 4.0, 4.0, math.inf), 6)
    0.002

    Args:
        bar_ms: length of a bar.
        horizon_bars: how far ahead.
        start: the cold start: the deviation of one bar, a log return, above 0.
    """

    def __init__(self, *, bar_ms: int, horizon_bars: int, start: float) -> None:
        self._bar_ms = bar_ms
        self._horizon_ms = bar_ms * horizon_bars
        self._least = LEAST * math.sqrt(horizon_bars)
        day_bars = max(12.0, DAY_MS / bar_ms)
        self._steps = (_step(QUICK_BARS), _step(SLOW_BARS), _step(day_bars))
        hour_bars = max(1.0, HOUR_MS / bar_ms)
        self._factor_step = _step(FACTOR_DAYS * hour_bars)
        self._reach_step = _step(FACTOR_DAYS * day_bars)
        self._factor_prior = FACTOR_PRIOR_DAYS * hour_bars
        self._bars = 0
        """How many bars have counted."""
        self._before: tuple[int, float] | None = None
        """Opening time and log close of the newest closed bar."""
        self._levels = [start] * 3
        """Deviation a bar at an ordinary hour: quick, slow, and of a day, log returns."""
        self._ratios = [1.0] * 24
        """By hour, mean of the deviation divided by that of a day."""
        self._counts = [0] * 24
        """By hour, of how many bars."""
        self._squares = [1.0] * 24
        """By hour, the factor's square."""
        self._moved = 0
        """How many bars have moved."""
        self._reach = [1.0, 1.0]
        """Of these, means of twice the returns' sizes and of ranges, over a day's deviation."""
        self._now = _NO_BAR
        """Of the bar that was asked about last, until a bar closes."""

    def at(self, ts: int, log_high: float, log_low: float, limit: float) -> float:
        """The deviation of the log return over the horizon, for a forecast made at a tick.

        Args:
            ts: of the tick, epoch milliseconds.
            log_high: the highest price of the forming bar so far.
            log_low: the lowest.
            limit: the largest step that is believed, a log return; beyond it the forming bar
                does not count.
        """
        bar = self.bar_at(ts - ts % self._bar_ms)
        passed = (ts - bar.ts_open) / self._bar_ms
        return volatility_at(passed, *bar[2:], log_high, log_low, limit)

    def bar_at(self, ts_open: int) -> BarVolatility:
        """What the ticks of the bar that opens then need to know, epoch milliseconds."""
        if self._now.ts_open != ts_open:
            self._now = self._prepared(ts_open)
        return self._now

    def _prepared(self, ts_open: int) -> BarVolatility:
        quick, slow, _ = self._levels
        returns, ranges = self._reach
        unit = math.sqrt(self._squares_ahead(ts_open)) * max(returns / ranges, 1.0)
        level = unit * (QUICK_SHARE * quick + (1.0 - QUICK_SHARE) * slow)
        level = min(max(level, self._least), MOST)
        bar_ms = self._bar_ms
        if self._before is None or level == MOST:
            return BarVolatility(ts_open, bar_ms, level, 0.0, 0.0, 0.0)
        ts_before, before = self._before
        bars = (ts_open - ts_before) // self._bar_ms
        if not 1 <= bars <= MAX_GAP_BARS + 1:
            return BarVolatility(ts_open, bar_ms, level, 0.0, 0.0, before)
        weight_quick = QUICK_SHARE * self._newest(0)
        weight_slow = (1.0 - QUICK_SHARE) * self._newest(1)
        fade = unit * (weight_quick * quick + weight_slow * slow)
        hour = ts_open // HOUR_MS % 24
        ordinary = _RANGE * math.sqrt(bars * self._squares[hour])
        gain = unit * (weight_quick + weight_slow) / ordinary
        return BarVolatility(ts_open, bar_ms, level, fade, gain, before)

    def _newest(self, average: int) -> float:
        """The weight of the next bar in an average; the first bars count more."""
        return max(self._steps[average], 1.0 / (self._bars + 1 + PRIOR_BARS))

    def _squares_ahead(self, ts_open: int) -> float:
        """Sum over the bars of the horizon of the squared factors; it begins where a bar ends."""
        start = ts_open + self._bar_ms
        days, rest = divmod(self._horizon_ms, DAY_MS)
        total = days * HOUR_MS * math.fsum(self._squares)
        end = start + rest
        while start < end:
            upto = min(end, start - start % HOUR_MS + HOUR_MS)
            total += (upto - start) * self._squares[start // HOUR_MS % 24]
            start = upto
        return total / self._bar_ms

    def close(
        self,
        ts_open: int,
        log_high: float,
        log_low: float,
        log_close: float,
        *,
        jumped: bool = False,
    ) -> None:
        """A bar has closed. One that the price jumped into says nothing of the volatility.

        Args:
            ts_open: opening time, epoch milliseconds.
            log_high: without what mistaken ticks have made.
            log_low: the same.
            log_close: the bar's.
            jumped: whether the step into the bar is not believed.
        """
        last, self._before, self._now = self._before, (ts_open, log_close), _NO_BAR
        if last is None or jumped:
            return
        ts_before, before = last
        bars = (ts_open - ts_before) // self._bar_ms
        if bars > MAX_GAP_BARS + 1:
            return
        distance = max(log_high, before) - min(log_low, before)
        moved = distance / (_RANGE * math.sqrt(max(bars, 1)))
        hour = ts_open // HOUR_MS % 24
        ordinary = moved / math.sqrt(self._squares[hour])
        ratio = min(moved / self._levels[2], MOST_RATIO)
        self._learn_hour(hour, ratio)
        self._learn_reach(abs(log_close - before), distance, ratio)
        steps = [self._newest(average) for average in range(3)]
        self._bars += 1
        self._levels = [
            max(level + step * (ordinary - level), LEAST)
            for level, step in zip(self._levels, steps, strict=True)
        ]

    def _learn_hour(self, hour: int, ratio: float) -> None:
        self._counts[hour] += 1
        step = max(self._factor_step, 1.0 / self._counts[hour])
        self._ratios[hour] += step * (ratio - self._ratios[hour])
        self._squares[hour] = self._square(hour)

    def _learn_reach(self, step: float, distance: float, ratio: float) -> None:
        """A bar's return beside its range; a bar that stood still says nothing.

        Args:
            step: the size of its log return.
            distance: its range, a log return.
            ratio: the deviation by the range, over that of a day; at most MOST_RATIO.
        """
        if not distance > 0.0:
            return
        self._moved += 1
        newest = max(self._reach_step, 1.0 / (self._moved + REACH_PRIOR_BARS))
        for at, value in enumerate((2.0 * step / distance * ratio, ratio)):
            self._reach[at] += newest * (value - self._reach[at])

    def _square(self, hour: int) -> float:
        known = min(self._counts[hour], 1.0 / self._factor_step)
        share = known / (known + self._factor_prior)
        factor = 1.0 + share * (self._ratios[hour] - 1.0)
        return factor * factor

    def state(self) -> dict[str, Any]:
        """What a restart needs, as JSON values; see `restore`."""
        return {
            "bars": self._bars,
            "before": self._before,
            "levels": self._levels,
            "ratios": [*self._ratios],
            "counts": [*self._counts],
            "reach": [self._moved, *self._reach],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a `state`, exactly; one of before ranges were compared has no "reach"."""
        before = state["before"]
        self._before = None if before is None else (before[0], before[1])
        self._bars, self._levels = state["bars"], [*state["levels"]]
        self._ratios, self._counts = [*state["ratios"]], [*state["counts"]]
        self._moved, *self._reach = state.get("reach", (0, 1.0, 1.0))
        self._squares = [self._square(hour) for hour in range(24)]
        self._now = _NO_BAR
