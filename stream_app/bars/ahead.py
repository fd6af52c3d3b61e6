"""Ticks whose time is too far ahead to be believed at once.

A tick from a clock that runs ahead must not move the watermark: all correct ticks behind it would
be late until time has caught up. So a step in time that nothing explains (`OpenBars.expects`)
enters a copy of the open bars. Later ticks decide: one that continues the earlier time drops the
copy, and the tick ahead is lost; ticks that continue from its time confirm it, and the copy becomes
the window's. See docs/decisions/0013 for the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Self

from stream_app.bars.open_bars import OpenBars

CONFIRMING_TICKS: Final = 32
"""So many ticks in a row confirm a time. Two feeds that take turns, one of them ahead, make such a
row by chance once in four billion ticks."""


class Place(Enum):
    """Where a tick belongs by its time."""

    MAIN = auto()
    AHEAD = auto()
    LATE = auto()


@dataclass(slots=True, kw_only=True)
class AheadTicks:
    """The ticks ahead, in a copy of the open bars."""

    open_bars: OpenBars
    first_ts: int
    """Event time of the first of them, epoch ms."""
    count: int = 0

    def is_confirmed(self, bar_ms: int) -> bool:
        """Whether their time is believed: they span a bar, or there are many."""
        span_ms = self.open_bars.newest_ts - self.first_ts
        return span_ms >= bar_ms or self.count >= CONFIRMING_TICKS

    def state(self) -> dict[str, Any]:
        """What a restart needs, as JSON values."""
        return {"first_ts": self.first_ts, "count": self.count, **self.open_bars.state()}

    @classmethod
    def restored(cls, state: Mapping[str, Any], open_bars: OpenBars) -> Self:
        """From a `state`, into these open bars."""
        open_bars.restore(state)
        return cls(open_bars=open_bars, first_ts=state["first_ts"], count=state["count"])
