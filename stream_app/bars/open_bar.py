"""A bar that still takes ticks: a record, which compiled loops change too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from stream_app.compiled import Number, address_of, compiled, part, records_of, types
from stream_app.messages.schemas import Tick

BAR: Final = np.dtype(
    [
        ("ts_open", np.int64),
        ("open", np.float64),
        ("high", np.float64),
        ("low", np.float64),
        ("close", np.float64),
        ("volume", np.float64),
        ("ticks", np.int64),
        ("ts_first", np.int64),
        ("ts_last", np.int64),
        ("kalman_velocity", np.float64),
        ("kalman_innovation", np.float64),
    ]
)
"""An open bar, in the order in which states list its numbers."""


class OpenBar:
    """A bar that still takes ticks."""

    __slots__ = ("address", "numbers", "ts_open")

    def __init__(
        self,
        *,
        ts_open: int,
        open: float,  # noqa: A002 - as in messages
        high: float,
        low: float,
        close: float,
        volume: float,
        ticks: int,
        ts_first: int,
        ts_last: int,
        kalman_velocity: float = 0.0,
        kalman_innovation: float = 0.0,
    ) -> None:
        """Make it of its numbers."""
        self.ts_open = ts_open
        """It never changes."""
        prices = open, high, low, close, volume
        filtered = kalman_velocity, kalman_innovation
        self.numbers = np.array([(ts_open, *prices, ticks, ts_first, ts_last, *filtered)], BAR)
        """Shape (1,), of BAR: the bar itself."""
        self.address = address_of(self.numbers)

    open = Number()
    high = Number()
    low = Number()
    close = Number()
    volume = Number()
    ticks = Number()
    ts_first = Number()
    ts_last = Number()
    kalman_velocity = Number()
    kalman_innovation = Number()

    def add(self, tick: Tick) -> bool:
        """Enter a tick; true when it is the bar's latest so far, which sets the close."""
        is_latest: bool = _add(self.numbers, tick.ts, tick.price, tick.size or 0.0)
        return is_latest

    def state(self) -> list[float]:
        """Its numbers, in the order of BAR."""
        return [*self.numbers.item()]

    @classmethod
    def of(cls, state: Sequence[float]) -> OpenBar:
        """Make it of a `state`."""
        return cls(**dict(zip(BAR.names or (), state, strict=True)))  # type: ignore[arg-type]


@part
def bar_with(bar: Any, ts: int, price: float, size: float) -> tuple[Any, ...]:
    """A bar with one more tick: what `enter_tick` takes; the last says whether it is the latest."""
    first, high, low, close = bar.open, bar.high, bar.low, bar.close
    ts_first, ts_last = bar.ts_first, bar.ts_last
    if price > high:
        high = price
    elif price < low:
        low = price
    if ts < ts_first or (ts == ts_first and price < first):
        ts_first, first = ts, price
    is_latest = ts > ts_last or (ts == ts_last and price >= close)
    if is_latest:
        ts_last, close = ts, price
    return first, high, low, close, bar.volume + size, ts_first, ts_last, is_latest


@part
def enter_tick(bar: Any, found: tuple[Any, ...]) -> None:
    """Change a bar into what `bar_with` found."""
    bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ts_first, bar.ts_last, _ = found
    bar.ticks += 1


@compiled(types.boolean(records_of(BAR), types.int64, types.float64, types.float64))
def _add(bars: Any, ts: int, price: float, size: float) -> bool:
    """`OpenBar.add`."""
    found = bar_with(bars[0], ts, price, size)
    enter_tick(bars[0], found)
    is_latest: bool = found[7]
    return is_latest
