"""Forecasts of one symbol with their outcomes, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from stream_app.prediction.running import LAST_PRICE, PUBLISHED
from stream_app.scoring.intervals import IntervalScore, interval_score
from stream_app.scoring.skill import Skill, skill

UNCORRECTED: Final = "uncorrected"
"""What is published less the bias correction: the ensemble after the shrinkage."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """N forecasts in order of time, each with its outcome; returns are log returns."""

    ts: NDArray[np.int64]
    """Event time of the tick that was answered, epoch ms."""
    ts_open: NDArray[np.int64]
    """Opening time of its bar."""
    price: FloatArray
    """The last price."""
    outcome: FloatArray
    forecasts: Mapping[str, FloatArray]
    """By name; the last price's, 0, is not among them."""
    weights: Mapping[str, FloatArray]
    """Of the members, in force."""
    shrinkage: Mapping[str, FloatArray]
    """Of the members and of the ensemble."""
    intervals: Mapping[float, FloatArray]
    """By level, low and high as log returns, shape (N, 2)."""
    volatility: FloatArray
    """That the intervals were made with; NaN without them."""

    def __len__(self) -> int:
        return len(self.ts)

    def where(self, wanted: NDArray[np.bool_]) -> Self:
        """The forecasts for which this is true, shape (N,)."""

        def cut(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: each[wanted] for name, each in value.items()}
            return value[wanted]

        return type(self)(**{item.name: cut(getattr(self, item.name)) for item in fields(self)})

    @property
    def published(self) -> FloatArray:
        """What consumers were told."""
        return self.forecasts[PUBLISHED]

    @property
    def errors(self) -> dict[str, FloatArray]:
        """Outcome less forecast, by name, the last price first."""
        made = {name: self.outcome - forecast for name, forecast in self.forecasts.items()}
        return {LAST_PRICE: self.outcome, **made}

    def shrunk(self, lag: int) -> dict[str, Skill]:
        """By name, the members as they entered what was published; see `scores`."""
        return {
            name: skill(self.shrinkage[name] * self.forecasts[name], self.outcome, horizon_bars=lag)
            for name in self.weights
        }

    def interval_scores(self) -> list[IntervalScore]:
        """What the intervals were worth, by rising level."""
        return [
            interval_score(
                level, bounds[:, 0].copy(), bounds[:, 1].copy(), self.outcome, self.volatility
            )
            for level, bounds in sorted(self.intervals.items())
        ]

    def scores(self, lag: int) -> dict[str, Skill]:
        """By name, the last price first.

        Args:
            lag: up to how many forecasts apart outcomes overlap; the horizon in bars where there
                is one a bar.
        """
        named = {LAST_PRICE: np.zeros_like(self.outcome), **self.forecasts}
        return {name: skill(made, self.outcome, horizon_bars=lag) for name, made in named.items()}
