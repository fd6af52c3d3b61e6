"""A symbol's newest closed bars, with what was forecast at the end of each. Pure."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from stream_app.overview.inputs import BarShown
from stream_app.overview.sorted_rows import SortedRows, numbers, or_nan, times

KEPT_BARS: Final = 288
"""A day of five-minute bars."""
_BOUNDS: Final = ("inner_low", "inner_high", "outer_low", "outer_high")
_COLUMNS: Final = (
    "ts_open",
    "ts_last",
    "offset",
    "horizon_ms",
    "close",
    "forecast",
    *_BOUNDS,
)


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
        forecast, bounds = bar.forecast, [math.nan] * len(_BOUNDS)
        if bar.forecasts is not None:
            forecast = bar.forecasts.published
            if stated := bar.forecasts.intervals:
                (_, *inner), (_, *outer) = min(stated), max(stated)
                bounds = [*inner, *outer]
        row = [
            bar.ts_open,
            bar.ts_last,
            bar.source.offset,
            1000 * or_nan(bar.horizon_s),
            bar.close,
            or_nan(forecast),
            *bounds,
        ]
        self.taken += self._rows.put(row)

    def columns(self) -> dict[str, Any]:
        """Lists of equal length, oldest bar first, fit for JSON.

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
        for name in _BOUNDS:
            out[name] = numbers(close * np.exp(rows[name]))
        return out
