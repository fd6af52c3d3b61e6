"""What a symbol's forecasts were worth, as the scores topic says. Pure.

The skill beside the last price is the out-of-sample R2 of Campbell and Thompson (2008),
1 - mean(e1^2) / mean(e0^2), over the outcomes that are kept. Its band is 1.96 standard errors of
the mean of e0^2 - e1^2, with Bartlett's weights (Newey and West 1987) up to the horizon, over
mean(e0^2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.dashboard.inputs import Scored
from stream_app.scoring.variance import bartlett_variance

KEPT_OUTCOMES: Final = 288
"""A day of five-minute bars."""
LEAST_OUTCOMES: Final = 30
"""Fewer tell nothing, and get no band."""
LAST_PRICE: Final = "last_price"
BAND: Final = 1.96
"""Standard errors to either side: 95 % of a normal distribution."""


class ScoreHistory:
    """The newest outcomes of one symbol, in order of time."""

    def __init__(self) -> None:
        self._outcomes: dict[int, Scored] = {}
        self.taken = 0
        """Grows with each outcome."""

    def __len__(self) -> int:
        return len(self._outcomes)

    def take(self, scored: Scored) -> bool:
        """Note an outcome; whether it is a new one."""
        if scored.ts_open in self._outcomes:
            return False
        is_newest = not self._outcomes or scored.ts_open > max(self._outcomes)
        if not is_newest and len(self._outcomes) >= KEPT_OUTCOMES:
            return False
        self.taken += 1
        self._outcomes[scored.ts_open] = scored
        if not is_newest:
            self._outcomes = dict(sorted(self._outcomes.items()))
        while len(self._outcomes) > KEPT_OUTCOMES:
            del self._outcomes[next(iter(self._outcomes))]
        return True

    def __iter__(self) -> Iterator[Scored]:
        """The oldest first."""
        return iter(self._outcomes.values())

    @property
    def newest(self) -> Scored | None:
        """The last outcome by event time."""
        return next(reversed(self._outcomes.values()), None)

    def skill(self) -> dict[str, Any]:
        """By forecaster, what it was worth beside the last price over the outcomes kept."""
        outcomes = list(self._outcomes.values())
        named = outcomes[-1].errors if outcomes else {}
        lag = self._lag()
        found: dict[str, Any] = {}
        for name in named:
            pairs = [_pair(item.errors, name) for item in outcomes]
            errors = np.array([pair for pair in pairs if pair is not None], dtype=np.float64)
            if name != LAST_PRICE and len(errors) >= LEAST_OUTCOMES:
                found[name] = _skill(errors, lag)
        return found

    def _lag(self) -> int:
        """The horizon in bars: outcomes overlap that much."""
        opened = np.array(list(self._outcomes), dtype=np.int64)
        if len(opened) < 2:
            return 1
        newest = next(reversed(self._outcomes.values()))
        return max(1, round((newest.ts_target - newest.ts_open) / int(np.diff(opened).min())))


def _pair(errors: Mapping[str, float | None], name: str) -> tuple[float, float] | None:
    base, own = errors.get(LAST_PRICE), errors.get(name)
    return None if base is None or own is None else (base, own)


def _skill(errors: NDArray[np.float64], lag: int) -> dict[str, float | int | None]:
    """Of errors of shape (N, 2): of the last price, and of the forecast."""
    squares = np.square(errors)
    base = float(squares[:, 0].mean())
    gains = squares[:, 0] - squares[:, 1]
    if not base > 0:
        return {"n": len(errors), "skill": None, "band": None}
    spread = math.sqrt(bartlett_variance(gains, lag) / len(gains))
    return {"n": len(errors), "skill": float(gains.mean()) / base, "band": BAND * spread / base}
