"""The LSTM: trained by torch, served step by step by a compiled loop.

The ticks of a forming bar share every step of their sequence but the last. So a Member runs the
closed bars once when a bar opens, keeps the states, and then one step is run per tick. That is
about 30 times less work than whole sequences.
"""

# The worker imports this module, so functions that train import their libraries themselves.

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import LOOKBACK
from stream_app.compiled import address_of
from stream_app.errors import TrainingError
from stream_app.models.asking import ask_alone, run_through
from stream_app.models.base import History, Member, ModelSettings, Rows, TrainingData
from stream_app.models.kernel import Kernel
from stream_app.models.kernels import Network
from stream_app.models.line import Line, learned_beyond
from stream_app.models.line_graph import append_line
from stream_app.models.lstm_graph import lstm_spec
from stream_app.models.lstm_weights import Scale, Weights, read_lstm
from stream_app.models.onnx_artifact import stamp
from stream_app.models.training_rows import check_rows

if TYPE_CHECKING:
    from stream_app.models.lstm_network import LSTMNetwork


class LSTMMember:
    """The network and its line, served by compiled loops one step per tick."""

    needs_features: ClassVar[bool] = True

    def __init__(self, weights: Weights, scale: Scale, line: Line, layers: tuple[int, ...]) -> None:
        network = Network(
            layers=np.array(layers, dtype=np.int64),
            weights=packed(weights, len(layers)),
            mean=scale.mean,
            deviation=scale.deviation,
            limit=scale.limit,
            unit=scale.unit,
        )
        self.kernel = Kernel.of_network(network, line)
        self._after: WeakKeyDictionary[History, tuple[NDArray[np.float32], int]] = (
            WeakKeyDictionary()
        )
        """The states after each history, and their addresses: h and c of each layer, shape (2 x sum
        of units,)."""

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Log returns over the horizon, shape (B,)."""
        return ask_alone(self.kernel, rows, [self.state_after(each) for each in rows.histories])

    def state_after(self, history: History) -> int:
        """The address of the states after the closed bars; they run when it is first asked for."""
        known = self._after.get(history)
        if known is None:
            state = np.zeros(self.kernel.state_count, dtype=np.float32)
            run_through(self.kernel.address, np.ascontiguousarray(history.rows), state)
            known = self._after[history] = state, address_of(state)
        return known[1]


def packed(weights: Weights, layers: int) -> NDArray[np.float32]:
    """All weights in one array, in the order in which `kernels.lstm_run` reads them."""
    parts = []
    for i in range(layers):
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w, r, b, more = (weights[f"layers.{i}.{kind}_l0"] for kind in kinds)
        parts += [w.T, r.T, b + more]
    parts += [weights["head.weight"], weights["head.bias"]]
    return np.concatenate([part.ravel() for part in parts])


class LSTMForecaster:
    """Learns from the sequences of bars that end at the training rows.

    Args:
        start: the weights of a warm start; None trains from scratch.
    """

    def __init__(self, start: Weights | None = None) -> None:
        self._start = start
        self._fitted: tuple[LSTMNetwork, Line, ModelSettings] | None = None
        self.epochs = 0
        """How many epochs `fit` ran."""

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """Train on one thread, which is faster than two for layers this small. Blocks for seconds.

        A warm start stops when more epochs no longer help.

        Raises:
            TrainingError: there are too few rows, a value is not finite, or the price does not
                move.
        """
        import torch

        from stream_app.models import lstm_network

        check_rows(data)
        if not np.isfinite(data.features[LOOKBACK:]).all():
            raise TrainingError("the window holds a feature that is not finite")
        line, y, unit = learned_beyond(data, settings.horizon_bars)
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
        self._fitted = network, line, settings

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Forecasts by torch from whole sequences: log returns, shape (len(rows),)."""
        import torch

        from stream_app.models import lstm_network

        network, line, settings = self._trained()
        answers = lstm_network.answers(
            network,
            torch.from_numpy(data.features),
            torch.from_numpy(rows),
            settings.sequence_length,
        )
        return answers.numpy().astype(np.float64) + line(data.features[rows])

    def export(self) -> bytes:
        """Network and line as ONNX, with the network's states as inputs and outputs."""
        from stream_app.models import lstm_network

        network, line, settings = self._trained()
        spec = lstm_spec(settings)
        graph = lstm_network.export(network, list(spec.inputs), list(spec.outputs))
        append_line(graph, line)
        return stamp(graph, spec)

    def _trained(self) -> tuple[LSTMNetwork, Line, ModelSettings]:
        if self._fitted is None:
            raise RuntimeError("fit before predict and export")
        return self._fitted


def load_lstm(artifact: bytes, settings: ModelSettings) -> Member:
    """Load the Member.

    Raises:
        ArtifactError: the bytes are not this model's artifact, or one for other settings.
    """
    return LSTMMember(*read_lstm(artifact, settings), settings.lstm_layers)
