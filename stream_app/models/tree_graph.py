"""What the two tree ensembles share: their graph, and the Member that runs it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from stream_app.features import FEATURES
from stream_app.models.base import ModelSettings, Rows
from stream_app.models.onnx_session import GraphSpec, facts_of, stamp


def tree_spec(model: str, settings: ModelSettings) -> GraphSpec:
    """The graph: x [B, FEATURES] to y [B, 1], log returns over the horizon."""
    return GraphSpec(
        model=model,
        inputs={"x": (None, FEATURES)},
        outputs={"y": (None, 1)},
        facts=facts_of(settings),
    )


def export_trees(graph: onnx.ModelProto, unit: float, spec: GraphSpec) -> bytes:
    """Turn a converter's graph, which answers in units of the target, into the artifact.

    Args:
        graph: input x, one output; changed in place.
        unit: the log return that the graph's 1.0 stands for.
        spec: what the artifact is to be.
    """
    body = graph.graph
    raw = body.output[0].name
    body.initializer.append(helper.make_tensor("unit", onnx.TensorProto.FLOAT, [1], [unit]))
    body.node.append(helper.make_node("Mul", [raw, "unit"], ["y"]))
    del body.output[:]
    body.output.append(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1]))
    return stamp(graph, spec)


class TreeMember:
    """A tree ensemble in ONNX Runtime."""

    needs_features: ClassVar[bool] = True

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Log returns over the horizon, shape (B,)."""
        if rows.features is None:
            raise ValueError("the features of these ticks are not known yet")
        (answer,) = self._session.run(["y"], {"x": rows.features})
        return np.asarray(answer[:, 0], dtype=np.float64)
