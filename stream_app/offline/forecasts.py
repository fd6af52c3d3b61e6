"""Forecasts with their outcomes: at each bar's close, and inside bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_app.messages.schemas import Bar, Prediction
from stream_app.offline.closes import Closes
from stream_app.offline.inside import Inside
from stream_app.offline.series import Series
from stream_app.prediction.observation import AHEAD, DUPLICATE, LATE
from stream_app.prediction.settings import PredictionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """Of one symbol."""

    closes: Series
    """One a bar, at its last tick; the outcome is the close of the bar one horizon later."""
    inside: Series
    """At most one in each fifth of a bar; the outcome is the price at exactly the horizon after
    the tick. Empty where the horizon is counted in bars, which has no time."""


@dataclass(slots=True)
class _Symbol:
    closes: Closes
    inside: Inside
    forming: dict[int, Prediction] = field(default_factory=dict)
    """By opening time of the bar, the newest prediction in it."""


class ForecastLog:
    """Keeps what is scored of the predictions, in memory: about 2 kB for each that is.

    Args:
        settings: of the pipeline.
        names: the members that must all have answered.
        is_settled: by offset, whether a tick does not reveal how the bar of its file ends.
            Forecasts inside bars are taken at those alone.
        score_from: forecasts before this event time are left out, epoch ms.
        score_to: those at or after this one too.
    """

    def __init__(
        self,
        settings: PredictionSettings,
        *,
        names: tuple[str, ...],
        is_settled: NDArray[np.bool_],
        score_from: int | None = None,
        score_to: int | None = None,
    ) -> None:
        self._settings = settings
        self._names = names
        self._is_settled = is_settled
        self._from = -math.inf if score_from is None else score_from
        self._to = math.inf if score_to is None else score_to
        self._looks_inside = settings.horizon_by == "time"
        self._symbols: dict[str, _Symbol] = {}

    def take(self, predictions: Sequence[Prediction], bars: Sequence[Bar]) -> None:
        """Note what a batch gave."""
        for prediction in predictions:
            if not {LATE, DUPLICATE, AHEAD}.isdisjoint(prediction.degraded):
                continue
            log = self._log(prediction.symbol)
            log.forming[prediction.ts - prediction.ts % self._settings.bar_ms] = prediction
            if self._looks_inside:
                is_settled = bool(self._is_settled[prediction.source.offset])
                wanted = is_settled and self._is_wanted(prediction)
                log.inside.take(prediction, is_wanted=wanted)
        for bar in bars:
            log = self._log(bar.symbol)
            last = log.forming.pop(bar.ts_open, None)
            wanted = last is not None and last.last_price == bar.close and self._is_wanted(last)
            log.closes.close(bar, last if wanted else None)

    def _log(self, symbol: str) -> _Symbol:
        if symbol not in self._symbols:
            self._symbols[symbol] = _Symbol(
                closes=Closes(self._settings, self._names), inside=Inside(self._settings)
            )
        return self._symbols[symbol]

    def _is_wanted(self, prediction: Prediction) -> bool:
        return self._from <= prediction.ts < self._to and all(
            name in prediction.members for name in self._names
        )

    def forecasts(self) -> dict[str, Forecasts]:
        """By symbol, the forecasts whose outcome is known."""
        return {
            symbol: Forecasts(closes=log.closes.series(), inside=log.inside.series())
            for symbol, log in sorted(self._symbols.items())
        }
