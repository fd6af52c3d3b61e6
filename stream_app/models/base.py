"""The contract that every member of the ensemble keeps.

A `Forecaster` learns in the process pool and exports bytes; a `Member` is loaded from those
bytes by the worker and answers. Both say the log return over the horizon. Adding a model means
one module with both, an entry in `models/catalog.py` and a weight; `tests/contract/` then holds
it to the same checks as the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What the models need to know of the settings; small and picklable."""

    bar_ms: int
    horizon_bars: int
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
    """Indices of the bars that a model may learn from: features, a whole sequence and a target
    are known. Every model learns from the same rows, so that their errors compare."""


class History:
    """The feature vectors of the closed bars before a forming one, shared by its ticks.

    `rows` has shape (sequence_length - 1, FEATURES), float32, oldest first. Compared by identity
    so that a member may keep what it derived from a history while that is in use.
    """

    __slots__ = ("__weakref__", "rows")

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """B ticks of one symbol, ready for the members: parallel arrays of length B."""

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
    """Which of `histories` each tick has; of no meaning while there are none."""

    def __len__(self) -> int:
        return len(self.log_price)


class Member(Protocol):
    """A trained model as it serves."""

    needs_features: ClassVar[bool]
    """False for a model that answers from the price and the Kalman state alone."""

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Log returns over the horizon, shape (B,). Does not block; called by the pipeline."""
        ...


class Forecaster(Protocol):
    """A model as it learns. Lives in a pool process; never sees Kafka or the registry."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    """The artifact's file name ending: `onnx` or `json`."""

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """Learn from `data.rows`. Blocks for seconds.

        Raises:
            TrainingError: too few rows, or the data gives no usable model.
        """
        ...

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The trained model's own answers for those bars, by the library it was trained with."""
        ...

    def export(self) -> bytes:
        """The artifact, such that the Member loaded from it answers within 1e-5 of `predict`."""
        ...


class MemberLoader(Protocol):
    """Makes a Member from an artifact's bytes.

    Raises ArtifactError when the bytes are not such an artifact, or one for other settings.
    """

    def __call__(self, artifact: bytes, settings: ModelSettings) -> Member:
        """Load; blocks for milliseconds, so it is called off the event loop."""
        ...
