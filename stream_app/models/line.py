"""The start of all models that learn from features: a linear regression on the last returns.

Trees and networks search for any dependence on any feature, and pay for the search with noise. What
prices alone predict of returns is largely of one kind: the next return continues or reverses the
last ones (Campbell, Lo, MacKinlay, *The Econometrics of Financial Markets*, 1997, chapter 2). A
line finds that in days. Each model learns the residuals of the line.

The line is the posterior mean of a regression whose slopes are normal around 0, each expected to
explain a share of the predictable part, the last return half of it, the one before a quarter, and
so on. Returns are capped, so that one extreme bar dominates neither the line nor a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import RETURN_SPANS
from stream_app.compiled import DOUBLES, compiled, part, types
from stream_app.models.base import TrainingData
from stream_app.models.training_rows import KNOWN_R2, scaled_target

FloatArray = NDArray[np.float64]

STEPS: Final = len(RETURN_SPANS)
"""Returns that the line goes through: each reaches back from where the one before it began."""
LIMIT: Final = 4.0
"""Returns count up to this many times their root mean square."""
SHARES: Final = 0.5 ** np.arange(1, STEPS + 1)
"""Of KNOWN_R2, what each slope is expected to explain."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """A line through the last returns."""

    size: FloatArray
    """Root mean square of each return, a log return, shape (STEPS,), positive."""
    slopes: FloatArray
    """The log return over the horizon for each `size`, shape (STEPS,)."""

    def __call__(self, features: NDArray[np.float32]) -> FloatArray:
        """What the line says: log returns over the horizon, shape (B,).

        Args:
            features: shape (B, FEATURES).
        """
        answers = np.zeros(len(features))
        _add(self.size, self.slopes, np.ascontiguousarray(features), answers)
        return answers

    def beyond(self, data: TrainingData) -> TrainingData:
        """The same rows with what is left of their targets."""
        target = data.target.copy()
        target[data.rows] -= self(data.features[data.rows]).astype(np.float32)
        return replace(data, target=target)


def no_line() -> Line:
    """A line that always says the last price."""
    return Line(size=np.ones(STEPS), slopes=np.zeros(STEPS))


def fit_line(data: TrainingData, horizon_bars: int) -> Line:
    """The line of these rows. Blocks for a millisecond.

    At h bars, h rows count as one (`training_rows.py`).

    Args:
        data: rows that `check_rows` has passed.
        horizon_bars: how far ahead the targets are.
    """
    target = data.target[data.rows].astype(np.float64)
    spans = data.features[data.rows, :STEPS].astype(np.float64)
    returns = np.diff(spans, axis=1, prepend=0.0)
    size, unit = _root_mean_square(returns), float(_root_mean_square(target))
    x = np.clip(returns / size, -LIMIT, LIMIT)
    y = np.clip(target / unit, -LIMIT, LIMIT)
    prior = np.diag(horizon_bars / (KNOWN_R2 * SHARES))
    slopes = np.linalg.solve(x.T @ x + prior, x.T @ y).astype(np.float64)
    return Line(size=size, slopes=slopes * unit)


def learned_beyond(
    data: TrainingData, horizon_bars: int
) -> tuple[Line, NDArray[np.float32], float]:
    """The line of these rows, and what is left to learn as `scaled_target` gives it."""
    line = fit_line(data, horizon_bars)
    return line, *scaled_target(line.beyond(data), horizon_bars)


def _root_mean_square(values: FloatArray) -> FloatArray:
    found = np.sqrt(np.mean(np.square(values), axis=0))
    return np.where(found > 0, found, 1.0)


@part
def add_line(
    size: FloatArray, slopes: FloatArray, features: NDArray[np.float32], answers: FloatArray
) -> None:
    """Add what a line says.

    Args:
        size: as in `Line`.
        slopes: the same.
        features: shape (B, FEATURES).
        answers: log returns, shape (B,); changed in place.
    """
    for b in range(len(features)):
        before = 0.0
        for i in range(STEPS):
            until = np.float64(features[b, i])
            step = min(max((until - before) / size[i], -LIMIT), LIMIT)
            answers[b] += slopes[i] * step
            before = until


@compiled(types.void(DOUBLES, DOUBLES, types.float32[:, ::1], DOUBLES))
def _add(
    size: FloatArray, slopes: FloatArray, features: NDArray[np.float32], answers: FloatArray
) -> None:
    """`add_line`, for Python."""
    add_line(size, slopes, features, answers)
