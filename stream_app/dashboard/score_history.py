"""What a symbol's forecasts were worth, as the scores topic says. Pure.

The skill beside the last price is the out-of-sample R2 of Campbell and Thompson (2008),
1 - mean(e1^2) / mean(e0^2), over the outcomes that are kept. Its band is 1.96 standard errors of
the mean of e0^2 - e1^2, with Bartlett's weights (Newey and West 1987) up to the horizon, over
mean(e0^2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.dashboard.inputs import MOST_NAMES, Scored
from stream_app.dashboard.sorted_rows import SortedRows, or_nan
from stream_app.scoring.variance import bartlett_variance

KEPT_OUTCOMES: Final = 288
"""A day of five-minute bars."""
LEAST_OUTCOMES: Final = 30
"""Fewer tell nothing, and get no band."""
LAST_PRICE: Final = "last_price"
_COLUMNS: Final = ("ts_open", "ts_target", "came", "base")
BAND: Final = 1.96
"""Standard errors to either side: 95 % of a normal distribution."""


class Outcome(NamedTuple):
    """What came after one bar."""

    ts_open: int
    """Of the bar at whose last tick the forecasts were made."""
    came: float
    """The log return over the horizon."""


class ScoreHistory:
    """The newest outcomes of one symbol, in order of time."""

    def __init__(self) -> None:
        self.newest: Scored | None = None
        """The last outcome by event time."""
        self.taken = 0
        """Grows with each outcome."""
        self._names: list[str] = []
        self._rows = SortedRows(_COLUMNS, KEPT_OUTCOMES)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Outcome]:
        """The oldest first."""
        opened, came = self._rows["ts_open"].tolist(), self._rows["came"].tolist()
        return (Outcome(int(ts), value) for ts, value in zip(opened, came, strict=True))

    def take(self, scored: Scored) -> None:
        """Note an outcome."""
        for name in scored.errors.keys() - {LAST_PRICE, *self._names}:
            if len(self._names) < MOST_NAMES:
                self._names.append(name)
                self._rows.add_column(name)
        row = [
            scored.ts_open,
            scored.ts_target,
            math.log(scored.outcome / scored.last_price),
            or_nan(scored.errors.get(LAST_PRICE)),
            *(or_nan(scored.errors.get(name)) for name in self._names),
        ]
        if self._rows.put(row):
            self.taken += 1
            if self.newest is None or scored.ts_open >= self.newest.ts_open:
                self.newest = scored

    def skill(self) -> dict[str, Any]:
        """By forecaster, what it was worth beside the last price over the outcomes kept."""
        lag, base = self._lag(), self._rows["base"]
        found: dict[str, Any] = {}
        # In the order of the newest message; forecasters that it does not name are gone.
        for name in self.newest.errors if self.newest is not None else ():
            if name not in self._names:
                continue
            errors = np.column_stack((base, self._rows[name]))
            errors = errors[np.isfinite(errors).all(axis=1)]
            if len(errors) >= LEAST_OUTCOMES:
                found[name] = _skill(errors, lag)
        return found

    def _lag(self) -> int:
        """The horizon in bars: outcomes overlap that much."""
        opened = self._rows["ts_open"]
        if len(opened) < 2:
            return 1
        horizon = self._rows["ts_target"][-1] - opened[-1]
        return max(1, round(float(horizon / np.diff(opened).min())))


def _skill(errors: NDArray[np.float64], lag: int) -> dict[str, float | int | None]:
    """Of errors of shape (N, 2): of the last price, and of the forecast."""
    squares = np.square(errors)
    base = float(squares[:, 0].mean())
    gains = squares[:, 0] - squares[:, 1]
    if not base > 0:
        return {"n": len(errors), "skill": None, "band": None}
    spread = math.sqrt(bartlett_variance(gains, lag) / len(gains))
    return {"n": len(errors), "skill": float(gains.mean()) / base, "band": BAND * spread / base}
