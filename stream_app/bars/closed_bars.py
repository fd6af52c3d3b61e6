"""The closed bars of one symbol in columns: the part of a window that never changes again.

What a bar says is judged by the bars before it: a step too large is a jump, and a high or low too
far from the closes is one that mistaken ticks have made (`jumps.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns, FloatArray
from stream_app.bars.judged_bars import CLOSE, COLUMNS, GIVEN, HIGH, JUMP_ROW, LOW, MOVE, judge
from stream_app.bars.jumps import SCALE_BARS, limit_of, usual_move
from stream_app.bars.open_bar import OpenBar

_SLACK: Final = 256
"""Spare rows, so that the arrays are moved once in 256 bars and not at each."""


class ClosedArrays(NamedTuple):
    """N closed bars as they are kept, with what the bars before each said of it."""

    times: NDArray[np.int64]
    """Opening times and those of the last ticks, shape (2, N)."""
    values: FloatArray
    """Shape (9, N)."""
    ticks: NDArray[np.int32]
    """Shape (N,)."""


class ClosedBar(NamedTuple):
    """A bar that has just closed."""

    bar: OpenBar
    empty_before: int
    """How many bars without a tick lie between the one before and this one."""
    jumped: bool
    """Whether the step from the bar before into this one is a jump."""
    high: float
    """Without what mistaken ticks have made, as the low."""
    low: float


class ClosedBars:
    """The last `capacity` closed bars of a symbol."""

    def __init__(self, *, capacity: int, bar_ms: int) -> None:
        self.capacity = capacity
        self.bar_ms = bar_ms
        rows = capacity + _SLACK
        self._times = np.zeros((2, rows), dtype=np.int64)
        self._values = np.zeros((len(COLUMNS), rows))
        self._ticks = np.zeros(rows, dtype=np.int32)
        self._usual_move = math.nan
        self._last: tuple[int, float] | None = None
        """Opening time and close of the newest closed bar."""
        self._start = 0
        self._end = 0

    def __len__(self) -> int:
        """How many closed bars the window holds."""
        return self._end - self._start

    def append(self, bar: OpenBar) -> ClosedBar:
        """Add a closed bar, dropping the oldest beyond the capacity.

        Returns:
            The bar, with what the bars before say of it.
        """
        empty, jumped = 0, False
        if self._end == self._times.shape[1]:
            self._compact()
        row = self._end
        self._times[:, row] = (bar.ts_open, bar.ts_last)
        self._ticks[row] = bar.ticks
        if self._last is not None:
            empty = (bar.ts_open - self._last[0]) // self.bar_ms - 1
            values = self._row(bar, *self._last)
            jumped = values[JUMP_ROW] != 0.0
        else:
            values = [*(getattr(bar, name) for name in GIVEN), 0.0, 0.0]
        self._values[:, row] = values
        self._end += 1
        self._last = bar.ts_open, bar.close
        self._start = max(self._start, self._end - self.capacity)
        self._usual_move = usual_move(self._values[MOVE, self._start : self._end])
        return ClosedBar(bar, empty, jumped, values[HIGH], values[LOW])

    def append_all(
        self, times: NDArray[np.int64], given: FloatArray, ticks: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Add closed bars, oldest first: what `append` does with one after the other.

        Args:
            times: opening times and those of the last ticks, shape (2, N), N at least 1.
            given: the bars' own columns (GIVEN), shape (7, N).
            ticks: how many each bar has, shape (N,).

        Returns:
            Which bars the price jumped into, shape (N,).

        Raises:
            ValueError: a price is not above 0.
        """
        count = times.shape[1]
        if not (given[HIGH].min() > 0.0 and given[LOW].min() > 0.0 and given[CLOSE].min() > 0.0):
            raise ValueError("a closed bar has a price that is not above 0")
        values = np.zeros((len(COLUMNS), count))
        values[: len(GIVEN)] = given
        known = self._values[MOVE, max(self._start, self._end - SCALE_BARS) : self._end].copy()
        self._usual_move = judge(
            np.ascontiguousarray(times[0]),
            values,
            known,
            self.capacity,
            self._usual_move,
            self.bar_ms,
            *(self._last or (0, math.nan)),
        )
        self._last = int(times[0, -1]), float(given[CLOSE, -1])
        kept = min(count, self.capacity)
        self._start = max(self._start, self._end + kept - self.capacity)
        if self._end + kept > self._times.shape[1]:
            self._compact()
        rows = slice(self._end, self._end + kept)
        self._times[:, rows], self._values[:, rows] = times[:, -kept:], values[:, -kept:]
        self._ticks[rows] = ticks[-kept:]
        self._end += kept
        jumped: NDArray[np.bool_] = values[JUMP_ROW] != 0.0
        return jumped

    def kept(self) -> ClosedArrays:
        """The closed bars: views, valid until the next `append`."""
        rows = slice(self._start, self._end)
        return ClosedArrays(self._times[:, rows], self._values[:, rows], self._ticks[rows])

    def take_kept(self, kept: ClosedArrays) -> None:
        """Take over what `kept` gave of a window of the same capacity. This one is empty.

        Raises:
            ValueError: the arrays do not fit.
        """
        count = len(kept.ticks)
        fits = kept.times.shape == (2, count) and kept.values.shape == (len(COLUMNS), count)
        if not fits or count > self.capacity:
            raise ValueError("the closed bars do not fit the window")
        self._times[:, :count], self._values[:, :count] = kept.times, kept.values
        self._ticks[:count] = kept.ticks
        self._end = count
        if count:
            self._last = int(kept.times[0, -1]), float(kept.values[CLOSE, -1])
            self._usual_move = usual_move(self._values[MOVE, :count])

    def _row(self, bar: OpenBar, ts_before: int, close_before: float) -> list[float]:
        """A bar's values, after a bar that opened and closed so, in the order of COLUMNS."""
        bars = max(1, (bar.ts_open - ts_before) // self.bar_ms)
        step = math.log(bar.close / close_before)
        limit = limit_of(self._usual_move, bars)
        values = [getattr(bar, name) for name in GIVEN]
        jumped = abs(step) > limit
        if jumped:
            close_before = bar.close
        # As `features.vectors` does with the ticks of the forming bar.
        top, bottom = max(bar.close, close_before), min(bar.close, close_before)
        if math.log(bar.high / top) > limit:
            values[HIGH] = top
        if math.log(bottom / bar.low) > limit:
            values[LOW] = bottom
        return [*values, step if jumped else 0.0, abs(step) / math.sqrt(bars)]

    @property
    def usual_move(self) -> float:
        """The symbol's usual move of one bar, a log return; NaN while it is unknown."""
        return self._usual_move

    def _compact(self) -> None:
        kept = len(self)
        for array in (self._times, self._values, self._ticks):
            array[..., :kept] = array[..., self._start : self._end].copy()
        self._start, self._end = 0, kept

    def column(self, name: str) -> FloatArray:
        """One column of the closed bars, oldest first: a view, valid until the next `append`.

        A high or low that mistaken ticks have made is not among them.
        """
        return self._values[COLUMNS.index(name), self._start : self._end]

    @property
    def ts_open(self) -> NDArray[np.int64]:
        """Opening times of the closed bars: a view, valid until the next `append`."""
        return self._times[0, self._start : self._end]

    def columns(self, last: int | None = None, *, pending: Sequence[OpenBar] = ()) -> BarColumns:
        """The last `last` closed bars (all without it) as copies for features and training.

        Args:
            last: how many closed bars.
            pending: open bars that are included as they stand, oldest first.
        """
        first = self._start if last is None else max(self._start, self._end - last)
        values = self._values[:, first : self._end]
        times = self._times[:, first : self._end]
        if pending:
            rows = []
            before = self._last
            for bar in pending:
                given = [getattr(bar, name) for name in GIVEN]
                rows.append([*given, 0.0, 0.0] if before is None else self._row(bar, *before))
                before = bar.ts_open, bar.close
            values = np.concatenate([values, np.array(rows).T], axis=1)
            stamps = np.array([[bar.ts_open for bar in pending], [bar.ts_last for bar in pending]])
            times = np.concatenate([times, stamps], axis=1)
        at = COLUMNS.index
        return BarColumns(
            ts_open=times[0].copy(),
            ts_last=times[1].copy(),
            log_close=np.log(values[at("close")]),
            log_high=np.log(values[at("high")]),
            log_low=np.log(values[at("low")]),
            kalman_velocity=values[at("kalman_velocity")].copy(),
            kalman_innovation=values[at("kalman_innovation")].copy(),
            log_jump=values[at("log_jump")].copy(),
        )
