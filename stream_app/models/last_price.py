"""The member for data that its model cannot be trained on: it predicts the last price, with a
reason.

A set of models is all or nothing. So where one model finds nothing to learn, this takes its place,
as a separate artifact, and the other three can still be replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import onnx
import orjson
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from stream_app.models.base import ModelSettings, Rows
from stream_app.models.onnx_artifact import OPSET, GraphSpec, checked_graph, facts_of, stamp

KEY: Final = "answers_last_price"
"""What tells such an artifact from one of a trained model; its value is the reason."""
REASON_MAX_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class LastPriceMember:
    """Says that the price stays as it is."""

    needs_features: ClassVar[bool] = False
    reason: str
    """Why the model could not be trained: one line."""

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Log returns of 0, shape (B,)."""
        return np.zeros(len(rows))


def last_price_artifact(model: str, suffix: str, reason: str, settings: ModelSettings) -> bytes:
    """The artifact that stands in for a model's own.

    Args:
        model: in whose place it answers.
        suffix: of that model's artifacts, `json` or `onnx`.
        reason: why the model could not be trained; what exceeds REASON_MAX_CHARS is cut.
        settings: the artifact is refused with others.
    """
    reason = " ".join(reason.split())[:REASON_MAX_CHARS]
    if suffix == "json":
        return orjson.dumps({KEY: reason})
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "zeros"], ["y"])],
        model,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("zeros", TensorProto.FLOAT, [FEATURES, 1], [0.0] * FEATURES)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    return stamp(made, _spec(model, reason, settings))


def is_last_price(artifact: bytes) -> bool:
    """Whether an artifact is meant to answer the last price. Does not check it."""
    return KEY.encode() in artifact


def load_last_price(model: str, artifact: bytes, settings: ModelSettings) -> LastPriceMember:
    """Make the Member.

    Raises:
        ArtifactError: not exactly such an artifact of this model, or one for other settings.
    """
    return LastPriceMember(_reason(model, artifact, settings))


def _spec(model: str, reason: str, settings: ModelSettings) -> GraphSpec:
    return GraphSpec(
        model=model,
        inputs={"x": (None, FEATURES)},
        outputs={"y": (None, 1)},
        facts={**facts_of(settings), KEY: reason},
    )


def _reason(model: str, artifact: bytes, settings: ModelSettings) -> str:
    if artifact.startswith(b"{"):
        return _json_reason(model, artifact)
    try:
        properties = onnx.load_from_string(artifact).metadata_props
    except DecodeError:
        raise ArtifactError(f"the {model} artifact is not an ONNX model") from None
    reason = next((str(entry.value) for entry in properties if entry.key == KEY), None)
    if reason is None:
        raise ArtifactError(f"the {model} artifact does not say why it answers the last price")
    checked_graph(artifact, _spec(model, reason, settings))
    return reason


def _json_reason(model: str, artifact: bytes) -> str:
    try:
        values = orjson.loads(artifact)
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"the {model} artifact is not JSON: {error}") from None
    if values.keys() != {KEY} or not isinstance(values[KEY], str):
        raise ArtifactError(f"the {model} artifact must hold exactly {KEY}, a text")
    return str(values[KEY])
