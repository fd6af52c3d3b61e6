"""What was forecast at each bar's close, beside what came: one forecast a bar, none overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_app.messages.schemas import Bar, Prediction
from stream_app.prediction.observation import DUPLICATE, LATE
from stream_app.scoring.skill import Skill, skill


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The forecasts of one symbol at N bar closes, in order of time; all log returns."""

    ts_open: NDArray[np.int64]
    outcome: NDArray[np.float64]
    members: Mapping[str, NDArray[np.float64]]
    ensemble: NDArray[np.float64]
    """Before the bias correction."""
    published: NDArray[np.float64]

    def since(self, ts: int) -> Series:
        """The forecasts of bars that open at or after an event time, epoch milliseconds."""
        at = self.ts_open >= ts
        return Series(
            ts_open=self.ts_open[at],
            outcome=self.outcome[at],
            members={name: values[at] for name, values in self.members.items()},
            ensemble=self.ensemble[at],
            published=self.published[at],
        )

    def scores(self, horizon_bars: int) -> dict[str, Skill]:
        """By name: `last_price`, `published`, `ensemble`, and each member."""
        named = {
            "last_price": np.zeros_like(self.outcome),
            "published": self.published,
            "ensemble": self.ensemble,
            **self.members,
        }
        return {
            name: skill(values, self.outcome, horizon_bars=horizon_bars)
            for name, values in named.items()
        }


@dataclass(slots=True)
class _Symbol:
    forming: dict[int, Prediction] = field(default_factory=dict)
    """By opening time of the bar, the newest prediction in it."""
    closes: dict[int, float] = field(default_factory=dict)
    at_close: dict[int, Prediction] = field(default_factory=dict)


class ForecastLog:
    """Keeps the prediction at each closed bar's last tick.

    Args:
        bar_ms: length of a bar.
        horizon_bars: how many bars ahead the predictions look.
        names: the members that must all have answered.
    """

    def __init__(self, *, bar_ms: int, horizon_bars: int, names: tuple[str, ...]) -> None:
        self._bar_ms = bar_ms
        self._horizon_ms = horizon_bars * bar_ms
        self._names = names
        self._symbols: dict[str, _Symbol] = {}

    def take(self, predictions: list[Prediction], bars: list[Bar]) -> None:
        """Note what a batch gave."""
        for prediction in predictions:
            if LATE in prediction.degraded or DUPLICATE in prediction.degraded:
                continue
            log = self._symbols.setdefault(prediction.symbol, _Symbol())
            log.forming[prediction.ts - prediction.ts % self._bar_ms] = prediction
        for bar in bars:
            log = self._symbols.setdefault(bar.symbol, _Symbol())
            if bar.close is None or bar.ts_open in log.closes:
                continue  # a checkpoint
            log.closes[bar.ts_open] = bar.close
            last = log.forming.pop(bar.ts_open, None)
            if last is not None and last.last_price == bar.close and self._is_whole(last):
                log.at_close[bar.ts_open] = last

    def _is_whole(self, prediction: Prediction) -> bool:
        return all(name in prediction.members for name in self._names)

    def series(self) -> dict[str, Series]:
        """By symbol, the forecasts whose outcome is known."""
        return {symbol: self._series(log) for symbol, log in sorted(self._symbols.items())}

    def _series(self, log: _Symbol) -> Series:
        known = [ts for ts in sorted(log.at_close) if ts + self._horizon_ms in log.closes]
        made = [log.at_close[ts] for ts in known]
        price = np.array([log.closes[ts] for ts in known])
        then = np.array([log.closes[ts + self._horizon_ms] for ts in known])

        def returns(prices: list[float]) -> NDArray[np.float64]:
            found: NDArray[np.float64] = np.log(np.array(prices, dtype=np.float64) / price)
            return found

        return Series(
            ts_open=np.array(known, dtype=np.int64),
            outcome=np.log(then / price),
            members={
                name: returns([item.members[name].prediction for item in made])
                for name in self._names
            },
            ensemble=returns([item.prediction - item.bias_correction for item in made]),
            published=returns([item.prediction for item in made]),
        )
