"""A symbol's newest closed bars, with what was forecast at the end of each. Pure."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.dashboard.inputs import BarShown

KEPT_BARS: Final = 288
"""A day of five-minute bars."""
_COLUMNS: Final = (
    "ts_open",
    "ts_last",
    "offset",
    "horizon_s",
    "high",
    "low",
    "close",
    "forecast",
    "inner_level",
    "inner_low",
    "inner_high",
    "outer_level",
    "outer_low",
    "outer_high",
)
_AT: Final = {name: number for number, name in enumerate(_COLUMNS)}


class Bounds(NamedTuple):
    """An interval as log returns over the horizon."""

    level: float
    low: float
    high: float


class BarHistory:
    """At most `KEPT_BARS` bars in order of time, whatever the order in which they are read."""

    def __init__(self) -> None:
        self._rows: NDArray[np.float64] = np.empty((0, len(_COLUMNS)))
        self.taken = 0
        """Grows with each bar that changes anything."""

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def newest_ts(self) -> int | None:
        """Opening time of the newest bar, epoch milliseconds."""
        return int(self._rows[-1, 0]) if len(self._rows) else None

    def take(self, bar: BarShown) -> bool:
        """Note a bar; whether it changed anything.

        A checkpoint is the same bar again with a newer offset. Bars without ticks carry no prices
        and are passed over.
        """
        if bar.close is None or bar.ticks == 0:
            return False
        at = int(np.searchsorted(self._rows[:, 0], bar.ts_open))
        if at < len(self._rows) and self._rows[at, 0] == bar.ts_open:
            if bar.source.offset <= self._rows[at, _AT["offset"]]:
                return False
            self._rows[at] = self._row(bar)
        elif at == 0 and len(self._rows) >= KEPT_BARS:
            return False
        else:
            self._rows = np.insert(self._rows, at, self._row(bar), axis=0)[-KEPT_BARS:]
        self.taken += 1
        return True

    def intervals(self, ts_open: int) -> list[Bounds]:
        """What was stated at the last tick of the bar that opened then; empty where nothing was."""
        at = int(np.searchsorted(self._rows[:, 0], ts_open))
        if at == len(self._rows) or self._rows[at, 0] != ts_open:
            return []
        inner, outer = self._rows[at, _AT["inner_level"] :].reshape(2, 3).tolist()
        stated = [Bounds(*inner)] if inner == outer else [Bounds(*inner), Bounds(*outer)]
        return [item for item in stated if not math.isnan(item.level)]

    def columns(self) -> dict[str, Any]:
        """For the page, lists of equal length, oldest bar first.

        `ts` is the end of what a bar saw and `close` its price. What was then predicted for
        `target`, `horizon_s` later, is `predicted`, between `inner` and `outer` low and high.
        A forecast that was not made is null.
        """
        rows = self._rows
        close = rows[:, _AT["close"]]
        out: dict[str, Any] = {
            "ts": rows[:, 1].astype(np.int64).tolist(),
            "close": close.tolist(),
            "target": [
                None if math.isnan(end) else int(end)
                for end in (rows[:, 1] + 1000 * rows[:, _AT["horizon_s"]]).tolist()
            ],
            "predicted": _prices(close, rows[:, _AT["forecast"]]),
        }
        for name in ("inner_low", "inner_high", "outer_low", "outer_high"):
            out[name] = _prices(close, rows[:, _AT[name]])
        return out

    def _row(self, bar: BarShown) -> list[float]:
        forecast, intervals = bar.forecast, [] if bar.forecasts is None else bar.forecasts.intervals
        if bar.forecasts is not None:
            forecast = bar.forecasts.published
        inner = outer = (math.nan, math.nan, math.nan)
        if intervals:
            inner, *_, outer = sorted((*intervals, max(intervals)))
        return [
            bar.ts_open,
            bar.ts_last,
            bar.source.offset,
            _or_nan(bar.horizon_s),
            _or_nan(bar.high),
            _or_nan(bar.low),
            _or_nan(bar.close),
            _or_nan(forecast),
            *inner,
            *outer,
        ]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _prices(close: NDArray[np.float64], returns: NDArray[np.float64]) -> list[float | None]:
    prices = close * np.exp(returns)
    return [None if not math.isfinite(price) else price for price in prices.tolist()]
