"""A symbol's newest predictions, thinned out: the price, and what was predicted of it. Pure."""

from __future__ import annotations

from typing import Any, Final

from stream_app.overview.inputs import Answer
from stream_app.overview.sorted_rows import SortedRows, numbers, or_nan, times

POINTS_A_HORIZON: Final = 60
HORIZONS: Final = 3
"""How many horizons back: predictions that old had their target two horizons ago."""
_LATE: Final = "late tick"
"""How `degraded` begins for a tick that is behind its symbol's newest ones."""
_BOUNDS: Final = ("inner_low", "inner_high", "outer_low", "outer_high")


class PointHistory:
    """The answers of the last horizons by event time, evenly thinned."""

    def __init__(self) -> None:
        columns = ("ts", "close", "target", "predicted", *_BOUNDS)
        self._rows = SortedRows(columns, POINTS_A_HORIZON * HORIZONS)

    def take(self, answer: Answer) -> None:
        """Note an answer, in place of the last one where that is too near to the one before.

        A prediction for a late tick has no new price. Any other step back in time is another
        history, such as a replay: it begins again.
        """
        if any(reason.startswith(_LATE) for reason in answer.degraded):
            return
        noted = self._rows["ts"]
        if len(noted) and answer.ts < noted[-1]:
            self._rows.clear()
        elif len(noted) > 1 and noted[-1] - noted[-2] < 1000 * answer.horizon_s / POINTS_A_HORIZON:
            self._rows.drop_newest()
        inner = min(answer.intervals, key=lambda item: item.level, default=None)
        outer = max(answer.intervals, key=lambda item: item.level, default=None)
        bounds = [
            or_nan(edge)
            for item in (inner, outer)
            for edge in ((None, None) if item is None else (item.low, item.high))
        ]
        self._rows.put([answer.ts, answer.last_price, answer.target_ts, answer.prediction, *bounds])

    def columns(self) -> dict[str, Any]:
        """As `BarHistory.columns`, with the time and price of the ticks themselves."""
        rows = self._rows
        out: dict[str, Any] = {"ts": times(rows["ts"]), "target": times(rows["target"])}
        for name in ("close", "predicted", *_BOUNDS):
            out[name] = numbers(rows[name])
        return out
