"""The part of a window that still changes: open bars, the newest time, the ticks just seen."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stream_app.bars.open_bar import OpenBar
from stream_app.messages.arrivals import TickKey, tick_key
from stream_app.messages.schemas import Tick

REMEMBERED_TICKS: Final = 1024
"""How many ticks within the grace are remembered to recognise duplicates."""
REMEMBERED_STEPS: Final = 16
"""How many of the last steps forward in time tell what to expect of the next."""
RHYTHM_MULTIPLE: Final = 2
"""A step of twice the usual is nothing special: at random times one in a thousand is longer."""
LIVE_MS: Final = 60_000
"""A tick that is appended within a minute of its time is live: the log's time is the measure of
how far its own may be. An older one is replayed or delayed."""


class OpenBars:
    """The open bars of a window at one state of its time."""

    def __init__(
        self, *, bar_ms: int, grace_ms: int, revisions: Iterator[int] | None = None
    ) -> None:
        self._bar_ms = bar_ms
        self._grace_ms = grace_ms
        self._revisions = itertools.count(1) if revisions is None else revisions
        self.newest_ts = -1
        """The newest event time, epoch ms; -1 before the first tick."""
        self.bars: list[OpenBar] = []
        """By time; the last one holds the newest tick."""
        self.revision = 0
        """Another number after each change to the bars before the newest one."""
        self._seen: dict[TickKey, None] = {}
        self._seen_order: deque[TickKey] = deque()
        self._steps: deque[tuple[int, int | None]] = deque(maxlen=REMEMBERED_STEPS)
        """The last steps forward in time: by how much [ms], 0 for the first tick; and the tick's
        time less its record's, None where there is no log."""

    @property
    def watermark(self) -> int:
        """Event time before which nothing changes any more, epoch ms."""
        return self.newest_ts - self._grace_ms

    def is_late(self, ts: int) -> bool:
        """Whether a tick of this time lies behind the watermark."""
        return self.newest_ts >= 0 and ts < self.watermark

    def is_duplicate(self, tick: Tick) -> bool:
        """Whether the same tick (time, price, size, source, id) was entered within the grace."""
        return tick_key(tick) in self._seen

    def expects(self, ts: int, appended_ms: int | None) -> bool:
        """Whether a tick may have this time, or its clock may run ahead.

        A step forward is expected when it is within the grace; when the log has gone forward with
        it, that is, the tick is not further ahead of its record than the last ones were, by more
        than the grace; or, unless it is live, when the symbol often makes steps so large.

        Args:
            ts: event time, epoch ms.
            appended_ms: when its record was appended; None where there is no log.
        """
        step = ts - self.newest_ts
        if step <= self._grace_ms or self.newest_ts < 0:
            return True
        if appended_ms is not None:
            leads = [lead for _, lead in self._steps if lead is not None]
            if leads and ts - appended_ms <= max(leads) + self._grace_ms:
                return True
            if appended_ms - ts <= LIVE_MS and leads:
                return False
        # The second largest: one night among the steps is not the rhythm.
        usual = sorted(length for length, _ in self._steps if length)
        return len(usual) < 2 or step <= RHYTHM_MULTIPLE * usual[-2]

    def add(self, tick: Tick, appended_ms: int | None = None) -> tuple[OpenBar, bool]:
        """Enter a tick that is neither late nor a duplicate.

        Returns:
            Its bar, and whether the tick is the latest of that bar.
        """
        ts = tick.ts
        self._note_step(ts, appended_ms)
        self._remember(tick_key(tick))
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

    def seen_before(self, keys: Sequence[TickKey]) -> list[int]:
        """Places of the keys that may be those of duplicates, in order."""
        seen = self._seen
        if len(keys) == 1:
            return [0] if keys[0] in seen else []
        if seen.keys().isdisjoint(keys) and len(set(keys)) == len(keys):
            return []  # as nearly always
        found, known = [], set(self._seen)
        for at, key in enumerate(keys):
            if key in known:
                found.append(at)
            known.add(key)
        return found

    def went_on(self, keys: Sequence[TickKey], appended_ms: Sequence[int | None]) -> None:
        """Remember ticks in order of time that the newest bar has taken; none is a duplicate.

        Args:
            keys: at least one.
            appended_ms: as of `add`, of each.
        """
        if len(keys) == 1:  # as of most symbols of a batch, where there are many
            self._note_step(keys[0][0], appended_ms[0])
            self._remember(keys[0])
            return
        steps = []
        for at in range(len(keys) - 1, -1, -1):
            ts, before = keys[at][0], keys[at - 1][0] if at else self.newest_ts
            if ts > before:
                appended = appended_ms[at]
                steps.append((ts - before, None if appended is None else ts - appended))
                if len(steps) == REMEMBERED_STEPS:
                    break
        self._steps.extend(reversed(steps))
        self.newest_ts = keys[-1][0]
        self._seen.update(dict.fromkeys(keys))
        self._seen_order.extend(keys)
        self._forget()

    def _note_step(self, ts: int, appended_ms: int | None) -> None:
        newest = self.newest_ts
        if ts > newest:
            step = ts - newest if newest >= 0 else 0
            self._steps.append((step, None if appended_ms is None else ts - appended_ms))
            self.newest_ts = ts

    def take_closed(self) -> list[OpenBar]:
        """Remove and return the bars that the watermark has passed, oldest first."""
        bars, watermark, closed = self.bars, self.watermark, 0
        while closed < len(bars) and bars[closed].ts_open + self._bar_ms <= watermark:
            closed += 1
        if not closed:
            return []
        taken, self.bars = bars[:closed], bars[closed:]
        return taken

    def _remember(self, key: TickKey) -> None:
        self._seen[key] = None
        self._seen_order.append(key)
        self._forget()

    def _forget(self) -> None:
        """Ticks behind the watermark, and those beyond the number that is remembered."""
        order, seen = self._seen_order, self._seen
        watermark = self.newest_ts - self._grace_ms
        while order and (order[0][0] < watermark or len(order) > REMEMBERED_TICKS):
            seen.pop(order.popleft(), None)

    def fork(self) -> OpenBars:
        """A copy that takes ticks from beyond the grace: no tick of before can be seen again."""
        twin = OpenBars(bar_ms=self._bar_ms, grace_ms=self._grace_ms, revisions=self._revisions)
        twin.newest_ts = self.newest_ts
        twin.bars = [OpenBar.of(bar.state()) for bar in self.bars]
        twin.revision = self.revision
        twin._steps.extend(self._steps)
        return twin

    def state(self) -> dict[str, Any]:
        """What a restart needs, as JSON values; see `restore`."""
        return {
            "newest_ts": self.newest_ts,
            "open_bars": [bar.state() for bar in self.bars],
            "seen": [list(key) for key in self._seen_order],
            "steps": [list(step) for step in self._steps],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a `state`."""
        self.newest_ts = state["newest_ts"]
        self.bars = [OpenBar.of(values) for values in state["open_bars"]]
        # A state that was written before ticks had an id has four values a key.
        self._seen_order = deque((*key, None)[:5] for key in state["seen"])
        self._seen = dict.fromkeys(self._seen_order)
        # States that were written before there were steps have none.
        self._steps = deque(map(tuple, state.get("steps", ())), maxlen=REMEMBERED_STEPS)
        self.revision = next(self._revisions)
