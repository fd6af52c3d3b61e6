"""A symbol's newest answers, thinned out: where the price was, and what was said of it. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from stream_app.dashboard.inputs import Answer

POINTS_A_HORIZON: Final = 60
HORIZONS: Final = 3
"""How many horizons back: what was said that long ago came true two horizons ago."""
_LATE: Final = "late tick"
"""How `degraded` begins for a tick that is behind its symbol's newest ones."""


class PointHistory:
    """The answers of the last horizons by event time, evenly thinned."""

    def __init__(self) -> None:
        self._points: deque[Answer] = deque(maxlen=POINTS_A_HORIZON * HORIZONS)

    def __len__(self) -> int:
        return len(self._points)

    def take(self, answer: Answer) -> None:
        """Note an answer, in place of the last one where that is too near.

        An answer to a late tick tells of no new price. Any other step back in time is another
        history, such as a replay: it begins anew.
        """
        if any(reason.startswith(_LATE) for reason in answer.degraded):
            return
        if self._points and answer.ts < self._points[-1].ts:
            self._points.clear()
        spacing_ms = 1000 * answer.horizon_s / POINTS_A_HORIZON
        if len(self._points) >= 2 and self._points[-1].ts - self._points[-2].ts < spacing_ms:
            self._points.pop()
        self._points.append(answer)

    def columns(self) -> dict[str, Any]:
        """As `BarHistory.columns`, with the time and price of the ticks themselves."""
        out: dict[str, Any] = {
            "ts": [point.ts for point in self._points],
            "close": [point.last_price for point in self._points],
            "target": [point.target_ts for point in self._points],
            "predicted": [point.prediction for point in self._points],
        }
        outermost = [sorted(point.intervals, key=lambda item: item.level) for point in self._points]
        for name, at in (("inner", 0), ("outer", -1)):
            out[f"{name}_low"] = [item[at].low if item else None for item in outermost]
            out[f"{name}_high"] = [item[at].high if item else None for item in outermost]
        return out
