"""Reads an LSTM's numbers from its artifact, to serve them or to start a training from them.

It does not need torch, because the worker reads them in a thread next to its event loop.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import LSTM
from stream_app.models.line import Line
from stream_app.models.line_graph import take_apart
from stream_app.models.lstm_graph import lstm_spec
from stream_app.models.onnx_artifact import checked_graph, constants

Tensors = dict[str, NDArray[Any]]
Weights = dict[str, NDArray[np.float32]]
"""By torch's name and in torch's shape. Without the scaling of inputs and output, which comes from
the new data."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """The scaling before and after the layers. It comes from the training data, not learned."""

    mean: NDArray[np.float32]
    """Mean of the inputs, shape (FEATURES,)."""
    deviation: NDArray[np.float32]
    """Standard deviation of the inputs, shape (FEATURES,), positive."""
    limit: float
    """Inputs are clipped at this many standard deviations."""
    unit: float
    """The log return that the head's 1.0 stands for."""


def read_weights(artifact: bytes, settings: ModelSettings) -> Weights:
    """The weights of an exported LSTM. Blocks for milliseconds.

    Raises:
        ArtifactError: the bytes are not an LSTM's artifact, belong to other settings or layers, or
            have no such weights.
    """
    return read_lstm(artifact, settings)[0]


def read_lstm(artifact: bytes, settings: ModelSettings) -> tuple[Weights, Scale, Line]:
    """All numbers of an exported LSTM. Blocks for milliseconds.

    Raises:
        ArtifactError: as `read_weights`, or the graph is not one that our exporter writes.
    """
    graph = checked_graph(artifact, lstm_spec(settings))
    try:
        own, line = take_apart(graph, LSTM)
        tensors = constants(graph)
        weights, scale = _weights(own, tensors), _scale(own, tensors)
    except (KeyError, TypeError, ValueError):
        raise _refusal("holds no weights to start from") from None
    shapes = {name: values.shape for name, values in weights.items()}
    if shapes != (wanted := _shapes(settings.lstm_layers)):
        raise _refusal(f"has weights of {shapes}, but these settings need {wanted}")
    numbers = {**weights, "mean": scale.mean, "deviation": scale.deviation}
    if odd := [name for name, values in numbers.items() if not _is_usable(values)]:
        raise _refusal(f"has a {odd[0]} that is not finite float32")
    if not (scale.mean.shape == scale.deviation.shape == (FEATURES,) and scale.deviation.min() > 0):
        raise _refusal("has no mean and positive deviation for each feature")
    return weights, scale, line


def _weights(own: Sequence[onnx.NodeProto], tensors: Tensors) -> Weights:
    weights: Weights = {}
    for i, node in enumerate(each for each in own if each.op_type == "LSTM"):
        _, w, r, b, *_ = node.input
        bias_ih, bias_hh = np.split(_one_direction(tensors[b]), 2)
        weights |= {
            f"layers.{i}.weight_ih_l0": _torch_gates(_one_direction(tensors[w])),
            f"layers.{i}.weight_hh_l0": _torch_gates(_one_direction(tensors[r])),
            f"layers.{i}.bias_ih_l0": _torch_gates(bias_ih),
            f"layers.{i}.bias_hh_l0": _torch_gates(bias_hh),
        }
    return weights | {name: tensors[name] for name in ("head.weight", "head.bias")}


def _scale(own: Sequence[onnx.NodeProto], tensors: Tensors) -> Scale:
    """The scaling of `lstm_network.LSTMNetwork.forward`, after checking that it does nothing more.

    Raises:
        ValueError: the graph has other operators.
    """
    nodes = [node for node in own if node.op_type != "Constant"]
    subtract, divide, clip, *layers, gather, head, multiply = nodes
    operators = [node.op_type for node in (subtract, divide, clip, gather, head, multiply)]
    if operators != ["Sub", "Div", "Clip", "Gather", "Gemm", "Mul"]:
        raise ValueError("other operators")
    if [node.op_type for node in layers] != ["LSTM", "Squeeze"] * (len(layers) // 2):
        raise ValueError("other layers")
    low, high = (float(tensors[name]) for name in clip.input[1:])
    if low != -high:
        raise ValueError("another limit")
    return Scale(
        mean=tensors[subtract.input[1]],
        deviation=tensors[divide.input[1]],
        limit=high,
        unit=float(tensors[multiply.input[1]]),
    )


def _one_direction(tensor: NDArray[Any]) -> NDArray[Any]:
    """A tensor of ONNX's LSTM without its axis of directions, which has length one."""
    (values,) = tensor
    return np.asarray(values)


def _torch_gates(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The four gates stacked in torch's order; in ONNX the output gate is second."""
    into, out, forget, cell = np.split(values, 4)
    return np.concatenate([into, forget, cell, out])


def _shapes(layers: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (below, units) in enumerate(itertools.pairwise((FEATURES, *layers))):
        shapes |= {
            f"layers.{i}.weight_ih_l0": (4 * units, below),
            f"layers.{i}.weight_hh_l0": (4 * units, units),
            f"layers.{i}.bias_ih_l0": (4 * units,),
            f"layers.{i}.bias_hh_l0": (4 * units,),
        }
    return {**shapes, "head.weight": (1, layers[-1]), "head.bias": (1,)}


def _is_usable(values: NDArray[np.float32]) -> bool:
    return values.dtype == np.float32 and bool(np.isfinite(values).all())


def _refusal(problem: str) -> ArtifactError:
    return ArtifactError(f"the {LSTM} artifact {problem}")
