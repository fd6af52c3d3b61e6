"""The rolling window of one symbol: ticks in event time become bars.

A pure state machine: no clock, no Kafka. Within the grace the result does not depend on the
order of arrival: a bar's open and close are those of its earliest and latest tick, equal times
decided by price. The watermark is the newest confirmed event time less the grace; a tick behind
it is late, and a bar that ends at or before it is closed and never changes again. A tick whose
time is further ahead than the log and the symbol's rhythm explain waits outside the window
(`ahead.py`) until later ticks confirm its time, so that one wrong time costs only one tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_app.bars.ahead import AheadTicks, Place
from stream_app.bars.closed_bars import ClosedBars
from stream_app.bars.open_bar import OpenBar
from stream_app.bars.open_bars import OpenBars


class Window(ClosedBars):
    """The last `capacity` closed bars of a symbol, and the open ones."""

    def __init__(self, *, capacity: int, bar_ms: int, grace_ms: int) -> None:
        super().__init__(capacity=capacity, bar_ms=bar_ms)
        self.grace_ms = grace_ms
        self.main = OpenBars(bar_ms=bar_ms, grace_ms=grace_ms)
        """The open bars of the time that later ticks have confirmed."""
        self.ahead: AheadTicks | None = None
        """Ticks whose time is too far ahead to be believed yet; see `place`."""

    @property
    def newest_ts(self) -> int:
        """The newest confirmed event time, epoch ms; -1 before the first tick."""
        return self.main.newest_ts

    @property
    def open_bars(self) -> list[OpenBar]:
        """By time; the last one holds the newest tick."""
        return self.main.bars

    def place(self, ts: int, appended_ms: int | None) -> Place:
        """Where a tick of this time belongs. Changes nothing.

        Args:
            ts: event time, epoch ms.
            appended_ms: when its record was appended to the log; None where there is no log.
        """
        step = ts - self.main.newest_ts
        if self.ahead is None and 0 <= step <= self.grace_ms:
            return Place.MAIN  # as nearly all are
        if self.main.is_late(ts):
            return Place.LATE
        if self.ahead is not None and ts >= self.ahead.first_ts:
            return Place.AHEAD
        return Place.MAIN if self.main.recent.expects(ts, appended_ms) else Place.AHEAD

    def drop_ahead(self, ts: int, place: Place) -> int:
        """Forget the ticks ahead when a tick that is not late contradicts them.

        It does when it carries on the time before them, or is ahead itself but by less. A tick
        that is not newer than the newest one is ignored: it was only slow.

        Returns:
            How many ticks were forgotten.
        """
        ahead = self.ahead
        if ahead is None or place is Place.LATE or ts <= self.newest_ts:
            return 0
        if ts >= (ahead.first_ts if place is Place.MAIN else ahead.first_ts - self.grace_ms):
            return 0
        self.ahead = None
        return ahead.count

    def confirm_ahead(self, ts: int | None = None, appended_ms: int | None = None) -> bool:
        """Take over the ticks ahead once they are confirmed.

        Args:
            ts: of the next tick ahead, before it is entered: one that goes far beyond them says
                that their time has passed. None to ask after a tick.
            appended_ms: when its record was appended.

        Returns:
            Whether they were taken over.
        """
        ahead = self.ahead
        if ahead is None:
            return False
        if ts is None:
            confirmed = ahead.is_confirmed(self.bar_ms)
        else:
            confirmed = not ahead.open_bars.recent.expects(ts, appended_ms)
        if confirmed:
            self.main, self.ahead = ahead.open_bars, None
        return confirmed

    def begin_ahead(self, ts: int) -> AheadTicks:
        """Copy the open bars for the first tick ahead."""
        self.ahead = AheadTicks(open_bars=self.main.fork(), first_ts=ts)
        return self.ahead

    def take_closed(self) -> list[OpenBar]:
        """Remove and return the open bars that the watermark has passed, oldest first.

        The caller fills in what it knows and gives each to `append`.
        """
        return self.main.take_closed()

    def last_close(self, open_bars: OpenBars) -> tuple[int, float] | None:
        """Opening time and close of the bar before the newest open one; None without one."""
        if len(open_bars.bars) > 1:
            bar = open_bars.bars[-2]
            return bar.ts_open, bar.close
        return self._last

    def state(self) -> dict[str, Any]:
        """What a restart needs besides the closed bars, as JSON values; see `restore`."""
        state = self.main.state()
        if self.ahead is not None:
            state["ahead"] = self.ahead.state()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a `state`."""
        self.main.restore(state)
        self.ahead = None
        if "ahead" in state:
            self.ahead = AheadTicks.restored(state["ahead"], self.main.fork())
