"""The LSTM: trained by torch, served step by step by ONNX Runtime.

The ticks of a forming bar share every step of their sequence but the last. So a Member runs the
closed bars once when a bar opens, keeps the states, and then runs one step a tick, all ticks of
a batch in one call: about 30 times less work than whole sequences.
"""

# The worker imports this module: what only training needs is imported where it trains.

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from stream_app.errors import TrainingError
from stream_app.features import LOOKBACK
from stream_app.models.base import History, Member, ModelSettings, Rows, TrainingData
from stream_app.models.lstm_graph import NAME, lstm_spec
from stream_app.models.onnx_session import open_session, stamp
from stream_app.models.training_rows import check_rows, scaled_target

if TYPE_CHECKING:
    from stream_app.models.lstm_network import LSTMNetwork
    from stream_app.models.lstm_weights import Weights


class LSTMMember:
    """The network in ONNX Runtime, one step a tick."""

    needs_features: ClassVar[bool] = True

    def __init__(self, session: onnxruntime.InferenceSession, layers: tuple[int, ...]) -> None:
        self._session = session
        self._names = [f"{part}{i}" for i in range(len(layers)) for part in ("h", "c")]
        ends = np.cumsum([units for units in layers for _ in ("h", "c")]).tolist()
        self._parts = [slice(*pair) for pair in itertools.pairwise([0, *ends])]
        self._zeros = np.zeros((1, 2 * sum(layers)), dtype=np.float32)
        self._after: WeakKeyDictionary[History, NDArray[np.float32]] = WeakKeyDictionary()
        """All states after a history, joined: shape (2 x sum of units,)."""

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Log returns over the horizon, shape (B,)."""
        if rows.features is None:
            raise ValueError("the features of these ticks are not known yet")
        self._remember([h for h in rows.histories if h not in self._after])
        known = np.array([self._after[history] for history in rows.histories])
        answer, *_ = self._run(["y"], rows.features[None], known[rows.history_index])
        return np.asarray(answer[:, 0], dtype=np.float64)

    def _remember(self, histories: list[History]) -> None:
        """Run the closed bars of all new histories together, from states of zero."""
        if not histories:
            return
        x = np.stack([history.rows for history in histories], axis=1)
        states = self._run(
            [f"{name}_next" for name in self._names], x, self._zeros.repeat(len(histories), axis=0)
        )
        joined = np.concatenate([state[0] for state in states], axis=1)
        for history, after in zip(histories, joined, strict=True):
            self._after[history] = after.copy()  # a view would keep the others' alive

    def _run(
        self, outputs: list[str], x: NDArray[np.float32], states: NDArray[np.float32]
    ) -> list[NDArray[np.float32]]:
        """One call: x of shape (T, B, FEATURES), joined states of shape (B, 2 x sum of units)."""
        feed = {
            name: states[None, :, part] for name, part in zip(self._names, self._parts, strict=True)
        }
        answers: list[NDArray[np.float32]] = self._session.run(outputs, {"x": x, **feed})
        return answers


class LSTMForecaster:
    """Learns from the sequences of bars that end at the training rows."""

    name: ClassVar[str] = NAME
    suffix: ClassVar[str] = "onnx"

    def __init__(self, start: Weights | None = None) -> None:
        self._start = start
        self._fitted: tuple[LSTMNetwork, ModelSettings] | None = None
        self.epochs = 0
        """How many `fit` took."""

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """Train on one thread, which is faster than two for layers this small.

        With weights to start from it goes on from these, and stops when that no longer helps.

        Raises:
            TrainingError: too few rows, values that are not finite, or prices that do not move.
        """
        import torch

        from stream_app.models import lstm_network

        check_rows(data)
        if not np.isfinite(data.features[LOOKBACK:]).all():
            raise TrainingError("the window holds a feature that is not finite")
        y, unit = scaled_target(data)
        seen = data.features[data.rows].astype(np.float64)
        deviation = seen.std(axis=0)
        deviation[deviation <= np.finfo(np.float32).eps] = 1.0  # a constant says nothing
        torch.set_num_threads(1)
        torch.manual_seed(settings.seed)
        network = lstm_network.LSTMNetwork(
            torch.from_numpy(seen.mean(axis=0).astype(np.float32)),
            torch.from_numpy(deviation.astype(np.float32)),
            unit,
            settings.lstm_layers,
        )
        given = (
            network,
            torch.from_numpy(data.features),
            torch.from_numpy(data.rows),
            torch.from_numpy(y),
            settings,
        )
        if self._start is None:
            self.epochs = lstm_network.train(*given)
        else:
            self.epochs = lstm_network.train_further(*given, start=self._start)
        self._fitted = network, settings

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Answers by torch from whole sequences: log returns, shape (len(rows),)."""
        import torch

        from stream_app.models import lstm_network

        network, settings = self._trained()
        answers = lstm_network.answers(
            network,
            torch.from_numpy(data.features),
            torch.from_numpy(rows),
            settings.sequence_length,
        )
        return answers.numpy().astype(np.float64)

    def export(self) -> bytes:
        """The network as ONNX, states in and out."""
        from stream_app.models import lstm_network

        network, settings = self._trained()
        spec = lstm_spec(settings)
        return stamp(lstm_network.export(network, list(spec.inputs), list(spec.outputs)), spec)

    def _trained(self) -> tuple[LSTMNetwork, ModelSettings]:
        if self._fitted is None:
            raise RuntimeError("fit before predict and export")
        return self._fitted


def load_lstm(artifact: bytes, settings: ModelSettings) -> Member:
    """Make the Member.

    Raises:
        ArtifactError: not this model's artifact, or one for other settings.
    """
    return LSTMMember(open_session(artifact, lstm_spec(settings)), settings.lstm_layers)
