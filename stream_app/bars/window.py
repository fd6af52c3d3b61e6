"""The rolling window of one symbol: ticks in event time become bars.

A pure state machine: no clock, no Kafka. Within the grace the result does not depend on the
order of arrival: a bar's open and close are those of its earliest and latest tick, equal times
decided by price. The watermark is the newest event time less the grace; a tick behind it is
late, and a bar that ends at or before it is closed and never changes again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns, FloatArray
from stream_app.messages.schemas import Tick

REMEMBERED_TICKS: Final = 1024
"""How many ticks within the grace are remembered to recognise duplicates."""
_SLACK: Final = 256
"""Spare rows, so that the arrays are moved once in 256 bars and not at each."""
_COLUMNS: Final = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "kalman_velocity",
    "kalman_innovation",
)

TickKey = tuple[int, float, float | None, str | None, str | None]


@dataclass(slots=True)
class OpenBar:
    """A bar that still takes ticks."""

    ts_open: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    ticks: int
    ts_first: int
    ts_last: int
    kalman_velocity: float = 0.0
    kalman_innovation: float = 0.0

    def add(self, tick: Tick) -> bool:
        """Enter a tick; true when it is the bar's latest so far, which sets the close."""
        price = tick.price
        self.ticks += 1
        self.volume += tick.size or 0.0
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.ts_first, self.open = min((self.ts_first, self.open), (tick.ts, price))
        if (tick.ts, price) >= (self.ts_last, self.close):
            self.ts_last, self.close = tick.ts, price
            return True
        return False


class Window:
    """The last `capacity` closed bars of a symbol, and the open ones."""

    def __init__(self, *, capacity: int, bar_ms: int, grace_ms: int) -> None:
        self.capacity = capacity
        self.bar_ms = bar_ms
        self.grace_ms = grace_ms
        self.newest_ts = -1
        """The newest event time seen, epoch ms; -1 before the first tick."""
        self.open_bars: list[OpenBar] = []
        """By time; the last one holds the newest tick."""
        self.revision = 0
        """Counts the changes to the bars before the newest one."""
        self._seen: dict[TickKey, None] = {}
        self._seen_order: deque[TickKey] = deque()
        rows = capacity + _SLACK
        self._times = np.zeros((2, rows), dtype=np.int64)
        self._values = np.full((len(_COLUMNS), rows), np.nan)
        self._ticks = np.zeros(rows, dtype=np.int32)
        self._start = 0
        self._end = 0

    def __len__(self) -> int:
        """How many closed bars the window holds."""
        return self._end - self._start

    @property
    def watermark(self) -> int:
        """Event time before which nothing changes any more, epoch ms."""
        return self.newest_ts - self.grace_ms

    def is_late(self, tick: Tick) -> bool:
        """Whether the tick lies behind the watermark."""
        return self.newest_ts >= 0 and tick.ts < self.watermark

    def is_duplicate(self, tick: Tick) -> bool:
        """Whether the same tick (time, price, size, source, id) was entered within the grace."""
        return _key(tick) in self._seen

    def add(self, tick: Tick) -> tuple[OpenBar, bool]:
        """Enter a tick that is neither late nor a duplicate.

        Returns:
            Its bar, and whether the tick is the latest of that bar.
        """
        self.newest_ts = max(self.newest_ts, tick.ts)
        self._remember(tick)
        ts_open = tick.ts - tick.ts % self.bar_ms
        bars = self.open_bars
        at = len(bars)
        while at and bars[at - 1].ts_open > ts_open:
            at -= 1
        if at < len(bars) or not bars or bars[-1].ts_open != ts_open:
            self.revision += 1  # a new newest bar, or one before the newest is touched
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
            ts_first=tick.ts,
            ts_last=tick.ts,
        )
        bars.insert(at, bar)
        return bar, True

    def take_closed(self) -> list[OpenBar]:
        """Remove and return the open bars that the watermark has passed, oldest first.

        The caller fills in what it knows and gives each to `append`.
        """
        bars, watermark, closed = self.open_bars, self.watermark, 0
        while closed < len(bars) and bars[closed].ts_open + self.bar_ms <= watermark:
            closed += 1
        if not closed:
            return []
        taken, self.open_bars = bars[:closed], bars[closed:]
        return taken

    def append(self, bar: OpenBar) -> int:
        """Add a closed bar, dropping the oldest beyond the capacity.

        Returns:
            How many bars without a tick lie between the one before and this one.
        """
        empty = 0
        if len(self):
            empty = (bar.ts_open - int(self._times[0, self._end - 1])) // self.bar_ms - 1
        if self._end == self._times.shape[1]:
            self._compact()
        row = self._end
        self._times[:, row] = (bar.ts_open, bar.ts_last)
        self._ticks[row] = bar.ticks
        self._values[:, row] = [getattr(bar, name) for name in _COLUMNS]
        self._end += 1
        self._start = max(self._start, self._end - self.capacity)
        return empty

    def _compact(self) -> None:
        kept = len(self)
        for array in (self._times, self._values, self._ticks):
            array[..., :kept] = array[..., self._start : self._end].copy()
        self._start, self._end = 0, kept

    def _remember(self, tick: Tick) -> None:
        key = _key(tick)
        self._seen[key] = None
        order = self._seen_order
        order.append(key)
        watermark = self.watermark
        while order and (order[0][0] < watermark or len(order) > REMEMBERED_TICKS):
            self._seen.pop(order.popleft(), None)

    def column(self, name: str) -> FloatArray:
        """One column of the closed bars, oldest first: a view, valid until the next `append`."""
        return self._values[_COLUMNS.index(name), self._start : self._end]

    @property
    def ts_open(self) -> NDArray[np.int64]:
        """Opening times of the closed bars: a view, valid until the next `append`."""
        return self._times[0, self._start : self._end]

    def columns(self, last: int | None = None, *, with_pending: bool = False) -> BarColumns:
        """The last `last` closed bars (all without it) as copies for features and training.

        With `with_pending`, the open bars before the newest one are included as they stand.
        """
        first = self._start if last is None else max(self._start, self._end - last)
        values = self._values[:, first : self._end]
        times = self._times[:, first : self._end]
        pending = self.open_bars[:-1] if with_pending else []
        if pending:
            more = np.array([[getattr(bar, name) for name in _COLUMNS] for bar in pending]).T
            values = np.concatenate([values, more], axis=1)
            stamps = np.array([[bar.ts_open for bar in pending], [bar.ts_last for bar in pending]])
            times = np.concatenate([times, stamps], axis=1)
        at = _COLUMNS.index
        return BarColumns(
            ts_open=times[0].copy(),
            ts_last=times[1].copy(),
            log_close=np.log(values[at("close")]),
            log_high=np.log(values[at("high")]),
            log_low=np.log(values[at("low")]),
            kalman_velocity=values[at("kalman_velocity")].copy(),
            kalman_innovation=values[at("kalman_innovation")].copy(),
        )

    def state(self) -> dict[str, Any]:
        """What a restart needs beside the closed bars, as JSON values; see `restore`."""
        return {
            "newest_ts": self.newest_ts,
            "open_bars": [
                [getattr(bar, name) for name in OpenBar.__slots__] for bar in self.open_bars
            ],
            "seen": [list(key) for key in self._seen_order],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a `state`."""
        self.newest_ts = state["newest_ts"]
        self.open_bars = [
            OpenBar(**dict(zip(OpenBar.__slots__, values, strict=True)))
            for values in state["open_bars"]
        ]
        # A state that was written before ticks had an id has four values a key.
        self._seen_order = deque((*key, None)[:5] for key in state["seen"])
        self._seen = dict.fromkeys(self._seen_order)
        self.revision += 1


def _key(tick: Tick) -> TickKey:
    """What two reports of one trade share."""
    return tick.ts, tick.price, tick.size, tick.source, tick.id
