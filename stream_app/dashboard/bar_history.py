"""A symbol's newest closed bars, with what was forecast at the end of each. Pure."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from stream_app.dashboard.inputs import BarShown
from stream_app.dashboard.sorted_rows import SortedRows, numbers, or_nan, times

KEPT_BARS: Final = 288
"""A day of five-minute bars."""
_INNER: Final = ("inner_level", "inner_low", "inner_high")
_OUTER: Final = ("outer_level", "outer_low", "outer_high")
_COLUMNS: Final = (
    "ts_open",
    "ts_last",
    "offset",
    "horizon_ms",
    "close",
    "forecast",
    *_INNER,
    *_OUTER,
)


class Bounds(NamedTuple):
    """An interval as log returns over the horizon."""

    level: float
    low: float
    high: float


_NONE: Final = Bounds(math.nan, math.nan, math.nan)


class BarHistory:
    """At most `KEPT_BARS` bars in order of time, whatever the order in which they are read."""

    def __init__(self) -> None:
        self._rows = SortedRows(_COLUMNS, KEPT_BARS)
        self.taken = 0
        """Grows with each bar that changes anything."""

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, bar: BarShown) -> None:
        """Note a bar.

        A checkpoint is the same bar again with a newer offset. Bars without ticks carry no prices
        and are passed over.
        """
        if bar.close is None or bar.ticks == 0:
            return
        before = self._rows.row(bar.ts_open)
        if before is not None and bar.source.offset <= before["offset"]:
            return
        forecast, inner, outer = bar.forecast, _NONE, _NONE
        if bar.forecasts is not None:
            forecast = bar.forecasts.published
            if bar.forecasts.intervals:
                inner = Bounds(*min(bar.forecasts.intervals))
                outer = Bounds(*max(bar.forecasts.intervals))
        row = [
            bar.ts_open,
            bar.ts_last,
            bar.source.offset,
            1000 * or_nan(bar.horizon_s),
            bar.close,
            or_nan(forecast),
            *inner,
            *outer,
        ]
        self.taken += self._rows.put(row)

    def intervals(self, ts_open: int) -> list[Bounds]:
        """What was stated at the last tick of the bar that opened then; empty where nothing was."""
        row = self._rows.row(ts_open)
        if row is None:
            return []
        stated = [Bounds(*(row[name] for name in names)) for names in (_INNER, _OUTER)]
        return [item for item in dict.fromkeys(stated) if not math.isnan(item.level)]

    def columns(self) -> dict[str, Any]:
        """For the page, lists of equal length, oldest bar first.

        `ts` is the end of what a bar saw and `close` its price. What was then predicted for
        `target`, a horizon later, is `predicted`, between `inner` and `outer` low and high.
        A forecast that was not made is null.
        """
        rows, close = self._rows, self._rows["close"]
        out: dict[str, Any] = {
            "ts": times(rows["ts_last"]),
            "close": numbers(close),
            "target": times(rows["ts_last"] + rows["horizon_ms"]),
            "predicted": numbers(close * np.exp(rows["forecast"])),
        }
        for name in (*_INNER[1:], *_OUTER[1:]):
            out[name] = numbers(close * np.exp(rows[name]))
        return out
