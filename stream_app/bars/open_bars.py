"""The part of a window that still changes: open bars, and the ticks just seen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from stream_app.bars.open_bar import OpenBar
from stream_app.bars.recent_ticks import RecentTicks
from stream_app.messages.arrivals import tick_key
from stream_app.messages.schemas import Tick


class OpenBars:
    """The open bars of a window at one state of its time."""

    def __init__(
        self, *, bar_ms: int, grace_ms: int, revisions: Iterator[int] | None = None
    ) -> None:
        self._bar_ms = bar_ms
        self._grace_ms = grace_ms
        self._revisions = itertools.count(1) if revisions is None else revisions
        self.recent = RecentTicks(grace_ms)
        """The ticks that were entered last."""
        self.bars: list[OpenBar] = []
        """By time; the last one holds the newest tick."""
        self.revision = 0
        """Another number after each change to the bars before the newest one."""

    @property
    def newest_ts(self) -> int:
        """The newest event time, epoch ms; -1 before the first tick."""
        return self.recent.newest_ts

    @property
    def watermark(self) -> int:
        """Event time before which nothing changes any more, epoch ms."""
        return self.newest_ts - self._grace_ms

    def is_late(self, ts: int) -> bool:
        """Whether a tick of this time lies behind the watermark."""
        return self.newest_ts >= 0 and ts < self.watermark

    def is_duplicate(self, tick: Tick) -> bool:
        """Whether the same tick (time, price, size, source, id) is among those remembered."""
        return self.recent.knows(tick_key(tick))

    def add(self, tick: Tick, appended_ms: int | None = None) -> tuple[OpenBar, bool]:
        """Enter a tick that is neither late nor a duplicate.

        Returns:
            Its bar, and whether the tick is the latest of that bar.
        """
        ts = tick.ts
        self.recent.add(tick_key(tick), appended_ms)
        ts_open = ts - ts % self._bar_ms
        bars = self.bars
        if bars and bars[-1].ts_open == ts_open:  # as nearly all are
            return bars[-1], bars[-1].add(tick)
        # A new newest bar, or one before the newest is touched.
        self.revision = next(self._revisions)
        at = len(bars)
        while at and bars[at - 1].ts_open > ts_open:
            at -= 1
        if at and bars[at - 1].ts_open == ts_open:
            return bars[at - 1], bars[at - 1].add(tick)
        bar = OpenBar(
            ts_open=ts_open,
            open=tick.price,
            high=tick.price,
            low=tick.price,
            close=tick.price,
            volume=tick.size or 0.0,
            ticks=1,
            ts_first=ts,
            ts_last=ts,
        )
        bars.insert(at, bar)
        return bar, True

    def take_closed(self) -> list[OpenBar]:
        """Remove and return the bars that the watermark has passed, oldest first."""
        bars, watermark, closed = self.bars, self.watermark, 0
        while closed < len(bars) and bars[closed].ts_open + self._bar_ms <= watermark:
            closed += 1
        if not closed:
            return []
        taken, self.bars = bars[:closed], bars[closed:]
        return taken

    def fork(self) -> OpenBars:
        """A copy that takes ticks from beyond the grace: no earlier tick can be seen again."""
        twin = OpenBars(bar_ms=self._bar_ms, grace_ms=self._grace_ms, revisions=self._revisions)
        twin.recent = self.recent.fork()
        twin.bars = [OpenBar.of(bar.state()) for bar in self.bars]
        twin.revision = self.revision
        return twin

    def state(self) -> dict[str, Any]:
        """What a restart needs, as JSON values; see `restore`."""
        recent = self.recent.state()
        bars = {"open_bars": [bar.state() for bar in self.bars]}
        return {"newest_ts": recent.pop("newest_ts"), **bars, **recent}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a `state`."""
        self.recent.restore(state)
        self.bars = [OpenBar.of(values) for values in state["open_bars"]]
        self.revision = next(self._revisions)
