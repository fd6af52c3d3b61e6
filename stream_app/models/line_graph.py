"""The line in a model's ONNX graph: written behind the model's own operators, and read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from stream_app.models.line import LIMIT, STEPS, Line, no_line
from stream_app.models.onnx_artifact import constants

_LAST: Final = "line_last"
_OPERATORS: Final = (
    *("Gather", "Gather", "Gather", "Sub", "Concat"),
    *("Div", "Min", "Max", "MatMul", "Add"),
)
"""All of them in the oldest set of operators that a converter writes."""
_FIXED: Final[dict[str, NDArray[Any]]] = {
    "line_first": np.arange(1),
    "line_until": np.arange(1, STEPS),
    "line_from": np.arange(STEPS - 1),
    "line_low": np.array(-LIMIT, dtype=np.float32),
    "line_high": np.array(LIMIT, dtype=np.float32),
}
"""The same in all graphs: which features the returns are between, and their limits."""


class Parts(NamedTuple):
    """A graph, taken apart."""

    own: list[onnx.NodeProto]
    """The model's own operators."""
    line: Line


def append_line(graph: onnx.ModelProto, line: Line) -> None:
    """Add the line to a graph's output.

    Args:
        graph: has an input x of shape [B, FEATURES], or [T, B, FEATURES] of which the last of T
            counts, and answers y; changed in place.
        line: the one that the model begins with.
    """
    body = graph.graph
    for node in body.node:
        for at, name in enumerate(node.output):
            if name == "y":
                node.output[at] = "beyond"
    tensors: dict[str, NDArray[Any]] = {
        **_FIXED,
        "line_size": line.size.astype(np.float32),
        "line_slopes": line.slopes.astype(np.float32)[:, None],
    }
    x = "x"
    if len(body.input[0].type.tensor_type.shape.dim) > len((None, FEATURES)):
        x, tensors[_LAST] = "line_x", np.array(-1)
        body.node.append(helper.make_node("Gather", ["x", _LAST], [x], axis=0))
    body.node.extend(
        [
            helper.make_node("Gather", [x, "line_first"], ["line_newest"], axis=1),
            helper.make_node("Gather", [x, "line_until"], ["line_reach"], axis=1),
            helper.make_node("Gather", [x, "line_from"], ["line_begin"], axis=1),
            helper.make_node("Sub", ["line_reach", "line_begin"], ["line_older"]),
            helper.make_node("Concat", ["line_newest", "line_older"], ["line_returns"], axis=1),
            helper.make_node("Div", ["line_returns", "line_size"], ["line_scaled"]),
            helper.make_node("Min", ["line_scaled", "line_high"], ["line_below"]),
            helper.make_node("Max", ["line_below", "line_low"], ["line_limited"]),
            helper.make_node("MatMul", ["line_limited", "line_slopes"], ["line_said"]),
            helper.make_node("Add", ["beyond", "line_said"], ["y"]),
        ]
    )
    body.initializer.extend(numpy_helper.from_array(each, name) for name, each in tensors.items())


def take_apart(graph: onnx.ModelProto, model: str) -> Parts:
    """A checked graph's own operators, and the line behind them.

    Graphs from before there was a line have none: theirs says the last price.

    Raises:
        ArtifactError: what stands behind the operators is no such line.
    """
    nodes, tensors = [*graph.graph.node], constants(graph)
    if "line_slopes" not in tensors:
        return Parts(nodes, no_line())
    behind = len(_OPERATORS) + (_LAST in tensors)
    try:
        return Parts(nodes[:-behind], _read(nodes[-behind:], tensors))
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"the {model} artifact's line is of no use: {error}") from None


def _read(nodes: Sequence[onnx.NodeProto], tensors: dict[str, NDArray[Any]]) -> Line:
    if tuple(node.op_type for node in nodes[-len(_OPERATORS) :]) != _OPERATORS:
        raise ValueError("other operators")
    if not all(np.array_equal(tensors[name], each) for name, each in _FIXED.items()):
        raise ValueError("other returns or limits")
    size, slopes = (
        tensors[name].astype(np.float64).ravel() for name in ("line_size", "line_slopes")
    )
    if size.shape != (STEPS,) or slopes.shape != (STEPS,):
        raise ValueError(f"it does not go through {STEPS} returns")
    if not (np.isfinite(slopes).all() and np.isfinite(size).all() and size.min() > 0):
        raise ValueError("a number that is not finite, or a size of 0")
    return Line(size=size, slopes=slopes)
