"""Meets each bar's forecasts with the price that came one horizon later."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from stream_app.messages.read_bars import Forecasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the forecasts that were made at a bar's last tick."""

    ts_open: int
    """Of the bar at whose last tick they were made, epoch ms."""
    ts_target: int
    """Opening time of the bar one horizon later."""
    log_close: float
    """The bar's, from which the forecasts look ahead."""
    forecasts: Forecasts
    log_return: float
    """What came: from the bar's close to the close one horizon later."""

    @property
    def error(self) -> float:
        """Of the ensemble before the bias correction: what came less what it said."""
        return self.log_return - self.forecasts.ensemble

    def inside(self) -> dict[float, bool]:
        """As `inside_of`."""
        return inside_of(self.forecasts, self.log_return)


def inside_of(said: Forecasts, came: float) -> dict[float, bool]:
    """By level, whether the log return that came was in the interval; on a bound it was."""
    return {level: low <= came <= high for level, low, high in said.intervals}


class ClosedForecasts(NamedTuple):
    """A closed bar as far as forecasts are concerned."""

    ts_open: int
    log_close: float
    forecasts: Forecasts | None
    """None where the bar has none."""
    jumped: bool = False
    """Whether the price jumped into this bar."""


class Outcomes:
    """The forecasts of a symbol whose outcome is still to come.

    By time, the outcome is the close of the bar that begins h bar lengths later; if that bar has
    no ticks, there is none. By bars, it is the close of the h-th bar with ticks. A jump of the
    price in between leaves none either, since it is unpredictable. Training computes its targets
    in the same way (`training/job.py`).

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
        self.waiting: deque[ClosedForecasts] = deque()
        """The closed bars whose horizon is still to come."""

    def close(self, bar: ClosedForecasts) -> Outcome | None:
        """A bar has closed: the outcome that it reveals, if it does."""
        if bar.jumped:
            self.waiting = deque(each._replace(forecasts=None) for each in self.waiting)
        earlier = self._one_horizon_before(bar.ts_open)
        self.waiting.append(bar)
        if earlier is None or earlier.forecasts is None:
            return None
        return Outcome(
            ts_open=earlier.ts_open,
            ts_target=bar.ts_open,
            log_close=earlier.log_close,
            forecasts=earlier.forecasts,
            log_return=bar.log_close - earlier.log_close,
        )

    def _one_horizon_before(self, ts_open: int) -> ClosedForecasts | None:
        """Take out the bar whose horizon this one is; bars that have missed theirs go too."""
        waiting = self.waiting
        if self._by_bars:
            return waiting.popleft() if len(waiting) == self._horizon_bars else None
        while waiting and waiting[0].ts_open < ts_open - self._horizon_ms:
            waiting.popleft()
        if waiting and waiting[0].ts_open == ts_open - self._horizon_ms:
            return waiting.popleft()
        return None

    def replay(
        self, closed: Sequence[ClosedForecasts]
    ) -> list[tuple[ClosedForecasts, ClosedForecasts]]:
        """Go through the closed bars of a restore, as `close` with one after the other.

        Args:
            closed: oldest first.

        Returns:
            Each bar whose forecasts have an outcome, and the bar whose close is that.
        """
        first, bars = len(self.waiting), [*self.waiting, *closed]
        ts = np.array([bar.ts_open for bar in bars], dtype=np.int64)
        jumps = np.cumsum([bar.jumped for bar in bars])
        later = np.arange(first, len(bars))
        if self._by_bars:
            earlier = later - self._horizon_bars
            is_met = earlier >= 0
            waits = np.arange(len(bars)) >= len(bars) - self._horizon_bars
        else:
            earlier = np.searchsorted(ts, ts[later] - self._horizon_ms)
            is_met = ts[earlier] == ts[later] - self._horizon_ms
            waits = ts > ts[-1:] - self._horizon_ms
        is_met &= jumps[np.maximum(earlier, 0)] == jumps[later]
        self.waiting = deque(
            bars[at] if jumps[at] == jumps[-1] else bars[at]._replace(forecasts=None)
            for at in np.flatnonzero(waits).tolist()
        )
        pairs = zip(earlier[is_met].tolist(), later[is_met].tolist(), strict=True)
        return [(bars[one], bars[two]) for one, two in pairs if bars[one].forecasts is not None]
