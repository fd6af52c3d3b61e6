"""What was forecast beside what came: at each bar's close, and at moments inside bars."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.messages.schemas import Bar, Prediction
from stream_app.offline.series import FloatArray, Series
from stream_app.prediction.observation import AHEAD, DUPLICATE, JUMP, LATE
from stream_app.prediction.settings import PredictionSettings

PARTS: Final = 5
"""Into how many parts a bar is cut to see how forecasts differ inside it; minutes of five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """Of one symbol."""

    closes: Series
    """One a bar, at its last tick; the outcome is the close of the bar one horizon later."""
    inside: Series
    """At most one in each fifth of a bar, its last settled tick; the outcome is the price at
    exactly the horizon after the tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """One forecast; returns are log returns."""

    ts: int
    price: float
    members: tuple[float, ...]
    weights: tuple[float, ...]
    ensemble: float
    published: float


@dataclass(slots=True)
class _Symbol:
    forming: dict[int, Prediction] = field(default_factory=dict)
    """By opening time of the bar, the newest prediction in it."""
    closes: dict[int, float] = field(default_factory=dict)
    """By opening time, in order of time."""
    at_close: dict[int, _Made] = field(default_factory=dict)
    part: tuple[int, Prediction] | None = None
    """The newest part of a bar, counted from epoch, and the newest settled prediction in it."""
    open: deque[_Made] = field(default_factory=deque)
    """Inside bars, whose outcome is still to come."""
    known: list[tuple[_Made, float]] = field(default_factory=list)
    """With the outcome."""
    newest: tuple[int, float] | None = None
    """Event time and price of the newest tick."""
    jumps: list[int] = field(default_factory=list)
    """Event times of ticks at which the price had jumped."""


class ForecastLog:
    """Keeps what is scored of the predictions, in memory: about 0.4 kB for each that is.

    A forecast across a jump of the price has no outcome: nothing is learned from it either.

    Args:
        settings: of the pipeline.
        names: the members that must all have answered.
        is_settled: by offset, whether a tick tells nothing of how the bar of its file ends.
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
        self._bar_ms = settings.bar_ms
        self._part_ms = settings.bar_ms / PARTS
        self._horizon_ms = settings.horizon_ms
        self._horizon_bars = settings.horizon_bars
        self._by_bars = settings.horizon_by == "bars"
        self._names = names
        self._is_settled = is_settled
        self._from = -math.inf if score_from is None else score_from
        self._to = math.inf if score_to is None else score_to
        self._symbols: dict[str, _Symbol] = {}

    def take(self, predictions: Sequence[Prediction], bars: Sequence[Bar]) -> None:
        """Note what a batch gave."""
        for prediction in predictions:
            if not {LATE, DUPLICATE, AHEAD}.isdisjoint(prediction.degraded):
                continue
            log = self._symbols.setdefault(prediction.symbol, _Symbol())
            if JUMP in prediction.degraded:
                log.jumps.append(prediction.ts)
            log.forming[prediction.ts - prediction.ts % self._bar_ms] = prediction
            self._look_inside(log, prediction)
        for bar in bars:
            log = self._symbols.setdefault(bar.symbol, _Symbol())
            if bar.close is None or bar.ts_open in log.closes:
                continue  # a checkpoint
            log.closes[bar.ts_open] = bar.close
            last = log.forming.pop(bar.ts_open, None)
            if last is not None and last.last_price == bar.close and self._is_wanted(last):
                log.at_close[bar.ts_open] = self._made(last)

    def _is_wanted(self, prediction: Prediction) -> bool:
        return self._from <= prediction.ts < self._to and all(
            name in prediction.members for name in self._names
        )

    def _made(self, prediction: Prediction) -> _Made:
        def log_return(price: float) -> float:
            return math.log(price / prediction.last_price)

        members = [prediction.members[name] for name in self._names]
        return _Made(
            ts=prediction.ts,
            price=prediction.last_price,
            members=tuple(log_return(member.prediction) for member in members),
            weights=tuple(member.weight for member in members),
            ensemble=log_return(prediction.prediction - prediction.bias_correction),
            published=log_return(prediction.prediction),
        )

    def _look_inside(self, log: _Symbol, prediction: Prediction) -> None:
        """Give forecasts their outcome that end before this tick, and note a new one."""
        ts, newest = prediction.ts, log.newest
        part = int(ts // self._part_ms)
        if log.part is not None and log.part[0] != part:
            log.open.append(self._made(log.part[1]))
            log.part = None
        while newest and log.open and log.open[0].ts + self._horizon_ms < ts:
            self._take_outcome(log, log.open.popleft(), newest)
        if newest is None or ts >= newest[0]:
            log.newest = ts, prediction.last_price
        if self._is_settled[prediction.source.offset] and self._is_wanted(prediction):
            log.part = part, prediction

    def _take_outcome(self, log: _Symbol, made: _Made, newest: tuple[int, float]) -> None:
        """The price at the horizon is that of the newest tick; none if that is a bar old."""
        if newest[0] > made.ts + self._horizon_ms - self._bar_ms and newest[0] > made.ts:
            log.known.append((made, math.log(newest[1] / made.price)))

    def forecasts(self) -> dict[str, Forecasts]:
        """By symbol, the forecasts whose outcome is known."""
        return {
            symbol: Forecasts(closes=self._closes(log), inside=self._inside(log))
            for symbol, log in sorted(self._symbols.items())
        }

    def _closes(self, log: _Symbol) -> Series:
        order = sorted(log.closes)
        place = {ts: at for at, ts in enumerate(order)}

        def end_of(ts: int) -> int | None:
            if not self._by_bars:
                return ts + self._horizon_ms
            later = place[ts] + self._horizon_bars
            return order[later] if later < len(order) else None

        found = []
        for ts, made in sorted(log.at_close.items()):
            end = end_of(ts)
            if end is not None and end in log.closes:
                outcome = math.log(log.closes[end] / made.price)
                found.append((made, outcome, made.ts, end + self._bar_ms - 1))
        return self._series(log, found)

    def _inside(self, log: _Symbol) -> Series:
        if self._by_bars:
            return self._series(log, [])  # the horizon has no time
        return self._series(
            log, [(made, known, made.ts, made.ts + self._horizon_ms) for made, known in log.known]
        )

    def _series(self, log: _Symbol, found: Sequence[tuple[_Made, float, int, int]]) -> Series:
        """Of forecasts with their outcome and the times from and to which they look."""
        whole = [
            (made, outcome)
            for made, outcome, begin, end in found
            if bisect.bisect_right(log.jumps, begin) == bisect.bisect_right(log.jumps, end)
        ]
        made = [each for each, _ in whole]
        ts = np.array([each.ts for each in made], dtype=np.int64)

        def by_name(rows: Sequence[tuple[float, ...]]) -> Mapping[str, FloatArray]:
            table = np.array(rows, dtype=np.float64).reshape(len(rows), len(self._names))
            return {name: table[:, at] for at, name in enumerate(self._names)}

        return Series(
            ts=ts,
            ts_open=ts - ts % self._bar_ms,
            price=np.array([each.price for each in made]),
            outcome=np.array([outcome for _, outcome in whole]),
            members=by_name([each.members for each in made]),
            weights=by_name([each.weights for each in made]),
            ensemble=np.array([each.ensemble for each in made]),
            published=np.array([each.published for each in made]),
        )
