"""Forecasts of one symbol beside what came, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from stream_app.scoring.skill import Skill, skill

LAST_PRICE: Final = "last_price"
PUBLISHED: Final = "published"
ENSEMBLE: Final = "ensemble"

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
    members: Mapping[str, FloatArray]
    ensemble: FloatArray
    """Before the bias correction."""
    published: FloatArray
    weights: Mapping[str, FloatArray]
    """Of the members, in force."""

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
    def returns(self) -> dict[str, FloatArray]:
        """By name: `last_price`, `published`, `ensemble`, and each member."""
        return {
            LAST_PRICE: np.zeros_like(self.outcome),
            PUBLISHED: self.published,
            ENSEMBLE: self.ensemble,
            **self.members,
        }

    def scores(self, lag: int) -> dict[str, Skill]:
        """The skill of each of the `returns`.

        Args:
            lag: up to how many forecasts apart outcomes overlap; the horizon in bars where there
                is one a bar.
        """
        return {
            name: skill(values, self.outcome, horizon_bars=lag)
            for name, values in self.returns.items()
        }
