"""The LSTM in torch: its layers, its training and its export. Only a Forecaster imports this."""

from __future__ import annotations

import copy
import io
import itertools
import math
import warnings
from collections.abc import Iterator
from typing import Final

import onnx
import torch
from torch import Tensor, nn

from stream_app.models.base import ModelSettings
from stream_app.models.lstm_weights import Weights
from stream_app.models.onnx_artifact import OPSET

LEARNING_RATE: Final = 1e-3
WEIGHT_DECAY: Final = 3.0
"""Decoupled decay, so 0.3% per step. Without it, the holdout error on a month of prices was 2%
above the last price's after ten epochs; with it, the two are equal. At h bars it is sqrt(h) times
that: AdamW holds a weight near its gradient's mean over its deviation, divided by the decay, and
what chance puts into that mean grows with the square root of h."""
GRADIENT_NORM: Final = 1.0
CLIP: Final = 5.0
"""Inputs are clipped at this many standard deviations: one wild tick must not decide alone."""
HELD_SHARE: Final = 0.1
"""Share of the rows that a warm start holds out, to judge its epochs."""
PATIENCE: Final = 2
"""A warm start stops after this many epochs in a row without a gain on the held-out rows."""
PIECE: Final = 4096


class LSTMNetwork(nn.Module):
    """LSTM layers of the given sizes under a linear head, time-major throughout.

    The network standardises its inputs and scales its output, so the exported graph takes raw
    features and returns log returns.

    Args:
        mean: shape (F,), the inputs' mean over the training rows.
        deviation: shape (F,), their standard deviation, positive.
        unit: the log return that the head's 1.0 stands for.
        layers: units of each layer, first to last.
    """

    def __init__(self, mean: Tensor, deviation: Tensor, unit: float, layers: tuple[int, ...]):
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.unit = unit
        sizes = (len(mean), *layers)
        self.layers = nn.ModuleList(
            nn.LSTM(below, units) for below, units in itertools.pairwise(sizes)
        )
        self.head = nn.Linear(layers[-1], 1)
        # Untrained, it predicts the last price.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def standardised(self, x: Tensor) -> Tensor:
        """Inputs in clipped standard deviations; any shape that ends in F."""
        return ((x - self.mean) / self.deviation).clamp(-CLIP, CLIP)

    def stepped(self, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Outputs in units, shape (B, 1), and the new states, from inputs already standardised."""
        after: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            x, (h, c) = layer(x, (states[2 * i], states[2 * i + 1]))
            after += [h, c]
        return self.head(x[-1]), *after

    def initial_states(self, batch: int) -> tuple[Tensor, ...]:
        """Zeros: h0, c0, h1, c1, ..., each of shape (1, batch, units)."""
        sizes = [layer.hidden_size for layer in self.layers if isinstance(layer, nn.LSTM)]
        return tuple(torch.zeros(1, batch, units) for units in sizes for _ in ("h", "c"))

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Raw x of shape (T, B, F) and states to log returns (B, 1) and the new states."""
        y, *after = self.stepped(self.standardised(x), states)
        return y * self.unit, *after


def sequences(features: Tensor, rows: Tensor, length: int) -> Tensor:
    """The time-major sequences that end at these rows, gathered: shape (length, B, F)."""
    return features[rows + torch.arange(1 - length, 1)[:, None]]


def epochs(
    network: LSTMNetwork, features: Tensor, rows: Tensor, y: Tensor, settings: ModelSettings
) -> Iterator[int]:
    """Fit the network in place, and yield each epoch's number, from 1, when it is done.

    Ten epochs on a month of five-minute bars take 2 to 5 s one bar ahead, and less further ahead.

    Args:
        network: untrained, or with the weights of a warm start.
        features: shape (N, F), raw, float32.
        rows: shape (R,), where each training sequence ends.
        y: shape (R,), the target in the network's units.
        settings: sequence length, batch size, epochs, seed.
    """
    inputs = network.standardised(features)
    loss_of = nn.HuberLoss()
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY * math.sqrt(settings.horizon_bars),
        fused=True,
    )
    shuffle = torch.Generator().manual_seed(settings.seed)
    for epoch in range(1, settings.lstm_epochs + 1):
        apart = rows_of_epoch(len(rows), epoch, settings)
        order = apart[torch.randperm(len(apart), generator=shuffle)]
        for batch in torch.split(order, settings.lstm_batch_size):
            x = sequences(inputs, rows[batch], settings.sequence_length)
            optimiser.zero_grad()
            answer, *_ = network.stepped(x, network.initial_states(len(batch)))
            loss_of(answer[:, 0], y[batch]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
            optimiser.step()
        yield epoch


def rows_of_epoch(count: int, epoch: int, settings: ModelSettings) -> Tensor:
    """Positions of the training rows of an epoch: every h-th, so that no two share a step.

    The epochs' first rows are spread evenly over the first h.
    """
    step = min(settings.horizon_bars, count)
    return torch.arange((epoch - 1) * step // settings.lstm_epochs, count, step)


def train(
    network: LSTMNetwork, features: Tensor, rows: Tensor, y: Tensor, settings: ModelSettings
) -> int:
    """Fit the network in place through all epochs. The arguments are those of `epochs`.

    Returns:
        The number of epochs.
    """
    return max(epochs(network, features, rows, y, settings))


def train_further(
    network: LSTMNetwork,
    features: Tensor,
    rows: Tensor,
    y: Tensor,
    settings: ModelSettings,
    *,
    start: Weights,
) -> int:
    """Fit the network in place from these weights until more epochs no longer help.

    The newest rows are held out to judge each epoch. The state with the least error on them is
    kept, which may be the start. If the rows are too few to hold any out, it trains from scratch.
    The other arguments are those of `epochs`.

    Returns:
        The number of epochs, including the last ones without a gain.
    """
    learned, held = held_back(rows, settings.horizon_bars)
    if not learned.stop:
        return train(network, features, rows, y, settings)
    trained = {name: torch.from_numpy(values) for name, values in start.items()}
    network.load_state_dict({**network.state_dict(), **trained})
    least = held_error(network, features, rows[held], y[held], settings.sequence_length)
    kept = copy.deepcopy(network.state_dict())
    best = epoch = 0
    for epoch in epochs(network, features, rows[learned], y[learned], settings):
        error = held_error(network, features, rows[held], y[held], settings.sequence_length)
        if error < least:
            least, best = error, epoch
            kept = copy.deepcopy(network.state_dict())
        elif epoch - best >= PATIENCE:
            break
    network.load_state_dict(kept)
    return epoch


def held_back(rows: Tensor, horizon_bars: int) -> tuple[slice, slice]:
    """Which rows to learn from, and which to hold out: the newest HELD_SHARE of them.

    The horizon's bars before the held-out rows are in neither, so that no return is in both.
    """
    first = len(rows) - max(1, int(len(rows) * HELD_SHARE))
    before = int(torch.searchsorted(rows, rows[first] - horizon_bars))
    return slice(0, before), slice(first, len(rows))


def held_error(
    network: LSTMNetwork, features: Tensor, rows: Tensor, y: Tensor, length: int
) -> float:
    """The training loss at these rows, in the network's units."""
    return float(nn.HuberLoss()(answers(network, features, rows, length) / network.unit, y))


def answers(network: LSTMNetwork, features: Tensor, rows: Tensor, length: int) -> Tensor:
    """Log returns at these rows, shape (R,); in pieces, so that memory stays small."""
    with torch.no_grad():
        pieces = [
            network(sequences(features, piece, length), *network.initial_states(len(piece)))[0]
            for piece in torch.split(rows, PIECE)
        ]
    return torch.cat(pieces)[:, 0]


def export(network: LSTMNetwork, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    """One graph of the network, for time and batch of any length.

    It uses the TorchScript exporter: torch's newer one (2.13) writes the sequence length into the
    graph and unrolls it.

    Args:
        network: trained.
        inputs: names of x and of each state.
        outputs: names of the output and of each new state.
    """
    batch = 3  # the exporter takes a batch of one for a constant
    x = torch.zeros(2, batch, len(network.mean))
    written = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter is deprecated, checks shapes while it traces, and warns of a fixed batch
        # size, which `dynamic_axes` makes variable.
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export")
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size")
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean might cause")
        torch.onnx.export(
            network,
            (x, *network.initial_states(batch)),
            written,  # type: ignore[arg-type]  # this exporter takes files too
            dynamo=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={
                inputs[0]: {0: "T", 1: "B"},
                outputs[0]: {0: "B"},
                **{name: {1: "B"} for name in inputs[1:] + outputs[1:]},
            },
        )
    return onnx.load_from_string(written.getvalue())
