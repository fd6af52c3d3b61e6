"""The contract that every member of the ensemble keeps.

A `Forecaster` learns in the process pool and exports bytes. The worker loads a `Member` from these
bytes, which serves. Both forecast the log return over the horizon. Adding a model means one module
with both and a row in `models/catalog.py`. `tests/contract/` then holds it to the same checks as
the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The settings that the models need; small and picklable."""

    bar_ms: int
    horizon_bars: int
    horizon_by: Literal["time", "bars"] = "time"
    """Whether the horizon is `horizon_bars` lengths on the clock, or as many bars with ticks."""
    sequence_length: int
    lstm_layers: tuple[int, ...]
    lstm_batch_size: int
    lstm_epochs: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """One symbol's window, prepared once for all models."""

    bars: BarColumns
    """Without jumps: the prices before each are moved by it."""
    log_price: NDArray[np.float64]
    """Shape (N,): the log closes as they were quoted, jumps and all."""
    features: NDArray[np.float32]
    """Shape (N, FEATURES), one row a bar; the first LOOKBACK rows are NaN."""
    target: NDArray[np.float32]
    """Shape (N,): log return over the horizon; NaN where the bar at the horizon is unknown, or
    the price jumps on the way."""
    rows: NDArray[np.int64]
    """Indices of the bars that a model may learn from: those with all features, a whole sequence
    and a known target. Every model learns from the same rows, so that their errors are comparable.
    """


class History:
    """The feature vectors of the closed bars before a forming one, shared by its ticks.

    `rows` has shape (sequence_length - 1, FEATURES), float32, oldest first. Histories compare by
    identity, so that a member can cache what it derives from one while it is in use.
    """

    __slots__ = ("__weakref__", "rows")

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """B ticks of one symbol as the members' input: parallel arrays of length B."""

    log_price: NDArray[np.float64]
    kalman_level: NDArray[np.float64]
    """Log price."""
    kalman_velocity: NDArray[np.float64]
    """Log return per bar."""
    features: NDArray[np.float32] | None
    """Shape (B, FEATURES); None while the window has too few bars."""
    histories: Sequence[History]
    """The distinct histories of these ticks; empty while the window has too few bars."""
    history_index: NDArray[np.int64]
    """Index into `histories` for each tick; without meaning while `histories` is empty."""

    def __len__(self) -> int:
        return len(self.log_price)


class Member(Protocol):
    """A trained model that serves."""

    needs_features: ClassVar[bool]
    """False for a model that forecasts from the price and the Kalman state alone."""

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Log returns over the horizon, shape (B,). Does not block; the pipeline calls it."""
        ...


class Forecaster(Protocol):
    """A model that learns. It lives in a pool process and never sees Kafka or the registry."""

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """Learn from `data.rows`. Blocks for seconds.

        Raises:
            TrainingError: there are too few rows, or the data gives no usable model.
        """
        ...

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Forecasts for these bars by the training library: log returns, shape (len(rows),)."""
        ...

    def export(self) -> bytes:
        """The artifact. The Member loaded from it must forecast within 1e-5 of `predict`."""
        ...


class MemberLoader(Protocol):
    """Loads a Member from an artifact's bytes."""

    def __call__(self, artifact: bytes, settings: ModelSettings) -> Member:
        """Load it. Blocks for milliseconds, so call it outside the event loop.

        Raises:
            ArtifactError: the bytes are not such an artifact, or one for other settings.
        """
        ...
