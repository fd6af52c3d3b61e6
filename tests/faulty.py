"""Models that are broken in ways that a gate must see. Shared with benchmarks/promotion.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns
from stream_app.models.base import Member, ModelSettings, Rows, TrainingData


@dataclass(frozen=True, eq=False)
class Changed:
    """A member whose answers are changed on the way out."""

    member: Member
    change: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    needs_features: ClassVar[bool] = True

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        return self.change(self.member.predict(rows))


CHANGES: Final[Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "sign turned": lambda answers: -answers,
    "ten times too large": lambda answers: 10 * answers,
    "constant": lambda answers: np.full_like(answers, 1e-4),
}


def seeing_ahead(
    prepare: Callable[[BarColumns, ModelSettings], TrainingData],
) -> Callable[[BarColumns, ModelSettings], TrainingData]:
    """`prepare` with a mistake: each bar has the features of the bar after it."""

    def leaky(bars: BarColumns, settings: ModelSettings) -> TrainingData:
        data = prepare(bars, settings)
        features = data.features.copy()
        features[:-1] = data.features[1:]
        first = data.rows[0] if len(data.rows) else 0
        features[: max(0, first - settings.sequence_length)] = np.nan
        return replace(data, features=features)

    return leaky
