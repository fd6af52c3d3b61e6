"""What the two tree ensembles share: their ONNX graph, and the Member loaded from it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from stream_app.models.asking import ask_alone
from stream_app.models.base import ModelSettings, Rows
from stream_app.models.kernel import Kernel
from stream_app.models.kernels import TreeNodes
from stream_app.models.line import Line
from stream_app.models.line_graph import append_line, take_apart
from stream_app.models.onnx_artifact import GraphSpec, checked_graph, constants, facts_of, stamp
from stream_app.models.tree_nodes import OPERATOR, read_nodes


def tree_spec(model: str, settings: ModelSettings) -> GraphSpec:
    """The graph: x [B, FEATURES] to y [B, 1], log returns over the horizon."""
    return GraphSpec(
        model=model,
        inputs={"x": (None, FEATURES)},
        outputs={"y": (None, 1)},
        facts=facts_of(settings),
    )


def export_trees(graph: onnx.ModelProto, unit: float, line: Line, spec: GraphSpec) -> bytes:
    """Turn a converter's graph, which answers in units of the target, into the artifact.

    Args:
        graph: input x, one output; changed in place.
        unit: the log return that the graph's 1.0 stands for.
        line: what the trees were grown beyond.
        spec: describes the artifact.
    """
    body = graph.graph
    raw = body.output[0].name
    body.initializer.append(helper.make_tensor("unit", onnx.TensorProto.FLOAT, [1], [unit]))
    body.node.append(helper.make_node("Mul", [raw, "unit"], ["y"]))
    del body.output[:]
    body.output.append(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1]))
    append_line(graph, line)
    return stamp(graph, spec)


class TreeMember:
    """A tree ensemble and its line, served by compiled loops."""

    needs_features: ClassVar[bool] = True

    def __init__(self, trees: TreeNodes, unit: float, line: Line) -> None:
        self.kernel = Kernel.of_trees(trees, unit, line)

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Log returns over the horizon, shape (B,)."""
        return ask_alone(self.kernel, rows)


def load_trees(artifact: bytes, spec: GraphSpec) -> TreeMember:
    """Load the Member from a graph that `export_trees` wrote. Blocks for milliseconds.

    Raises:
        ArtifactError: as `checked_graph`, or the graph holds something other than such trees.
    """
    graph = checked_graph(artifact, spec)
    try:
        own, line = take_apart(graph, spec.model)
        operators = [node for node in own if node.op_type != "Identity"]
        if [node.op_type for node in operators] != [OPERATOR, "Mul"]:
            raise ArtifactError(f"the {spec.model} artifact is not a forest times a unit")
        (unit,) = constants(graph)["unit"].tolist()
        return TreeMember(read_nodes(operators[0]), float(unit), line)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"the {spec.model} artifact has no usable trees: {error}") from None
