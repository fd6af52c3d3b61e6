"""The forecasts inside one symbol's bars, against the price at exactly the horizon after them."""

from __future__ import annotations

import bisect
import math
from collections import deque
from typing import Final

import numpy as np

from stream_app.messages.schemas import Prediction
from stream_app.offline.series import UNCORRECTED, Series
from stream_app.prediction.observation import JUMP
from stream_app.prediction.running import PUBLISHED
from stream_app.prediction.settings import PredictionSettings

PARTS: Final = 5
"""Into how many parts a bar is cut to see how forecasts differ inside it; minutes of five."""


class Inside:
    """Takes at most one forecast in each fifth of a bar: that at its last settled tick.

    The outcome is the price of the newest tick at or before the horizon's end; there is none if
    that tick is a bar old or the price has jumped on the way.

    Args:
        settings: of the pipeline.
    """

    def __init__(self, settings: PredictionSettings) -> None:
        self._bar_ms = settings.bar_ms
        self._horizon_ms = settings.horizon_ms
        self._last: Prediction | None = None
        """The newest settled prediction, while its part of the bar lasts."""
        self._open: deque[Prediction] = deque()
        """Those whose outcome is still to come."""
        self._known: list[tuple[Prediction, float]] = []
        self._newest: tuple[int, float] | None = None
        """Event time and price of the newest tick."""
        self._jumps: list[int] = []
        """Event times of ticks at which the price had jumped."""

    def take(self, prediction: Prediction, *, is_wanted: bool) -> None:
        """A tick that is in the window was answered.

        Args:
            prediction: the answer.
            is_wanted: whether the tick is settled, and the answer to be scored.
        """
        ts, newest = prediction.ts, self._newest
        if JUMP in prediction.degraded:
            self._jumps.append(ts)
        if self._last is not None and self._part(self._last.ts) != self._part(ts):
            self._open.append(self._last)
            self._last = None
        while newest and self._open and self._open[0].ts + self._horizon_ms < ts:
            self._end(self._open.popleft(), newest)
        if newest is None or ts >= newest[0]:
            self._newest = ts, prediction.last_price
        if is_wanted:
            self._last = prediction

    def _part(self, ts: int) -> int:
        return ts * PARTS // self._bar_ms

    def _end(self, made: Prediction, newest: tuple[int, float]) -> None:
        end = made.ts + self._horizon_ms
        is_fresh = newest[0] > max(made.ts, end - self._bar_ms)
        jumps = self._jumps
        is_smooth = bisect.bisect_right(jumps, made.ts) == bisect.bisect_right(jumps, newest[0])
        if is_fresh and is_smooth:
            self._known.append((made, math.log(newest[1] / made.last_price)))

    def series(self) -> Series:
        """The forecasts whose outcome is known."""
        made = [each for each, _ in self._known]
        ts = np.array([each.ts for each in made], dtype=np.int64)
        price = np.array([each.last_price for each in made])
        published = np.array([each.prediction for each in made])
        corrected = np.array([each.bias_correction for each in made])
        return Series(
            ts=ts,
            ts_open=ts - ts % self._bar_ms,
            price=price,
            outcome=np.array([outcome for _, outcome in self._known]),
            forecasts={
                PUBLISHED: np.log(published / price),
                UNCORRECTED: np.log((published - corrected) / price),
            },
            weights={},
            shrinkage={},
            intervals={},
            volatility=np.full(len(made), np.nan),
        )
