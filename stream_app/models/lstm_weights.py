"""An LSTM's weights back from its artifact, so that a training can start from them.

Without torch: the worker reads them beside its event loop and sends them with the job.
"""

from __future__ import annotations

import itertools

import numpy as np
import onnx
from numpy.typing import NDArray

from stream_app.errors import ArtifactError
from stream_app.features import FEATURES
from stream_app.models.base import ModelSettings
from stream_app.models.lstm_graph import NAME, lstm_spec
from stream_app.models.onnx_session import checked_graph

Weights = dict[str, NDArray[np.float32]]
"""By the name and in the shape that torch has for each, without what standardises the inputs and
the answer: that is the new data's."""


def read_weights(artifact: bytes, settings: ModelSettings) -> Weights:
    """The weights of an exported LSTM. Blocks for milliseconds.

    Raises:
        ArtifactError: not an LSTM's artifact, one of other settings or layers, or one without
            such weights.
    """
    graph = checked_graph(artifact, lstm_spec(settings)).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    weights: Weights = {}
    try:
        layers = [node for node in graph.node if node.op_type == "LSTM"]
        for i, node in enumerate(layers):
            _, w, r, b, *_ = node.input
            bias_ih, bias_hh = np.split(_values(tensors[b]), 2)
            weights |= {
                f"layers.{i}.weight_ih_l0": _torch_gates(_values(tensors[w])),
                f"layers.{i}.weight_hh_l0": _torch_gates(_values(tensors[r])),
                f"layers.{i}.bias_ih_l0": _torch_gates(bias_ih),
                f"layers.{i}.bias_hh_l0": _torch_gates(bias_hh),
            }
        for name in ("head.weight", "head.bias"):
            weights[name] = onnx.numpy_helper.to_array(tensors[name]).copy()  # writable
    except (KeyError, TypeError, ValueError):
        raise _refusal("holds no weights to start from") from None
    shapes = {name: values.shape for name, values in weights.items()}
    if shapes != (wanted := _shapes(settings.lstm_layers)):
        raise _refusal(f"has weights of {shapes}, but these settings need {wanted}")
    if odd := [name for name, values in weights.items() if not _is_usable(values)]:
        raise _refusal(f"has a {odd[0]} that is not finite float32")
    return weights


def _values(tensor: onnx.TensorProto) -> NDArray[np.float32]:
    """A tensor of ONNX's LSTM without its axis of directions, of which there is one."""
    (values,) = onnx.numpy_helper.to_array(tensor)
    return np.asarray(values)


def _torch_gates(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The four gates one below the other in torch's order; ONNX has the output gate second."""
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
    return ArtifactError(f"the {NAME} artifact {problem}")
