"""ONNX artifacts: what is written into them, and what is checked before they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from stream_app.bars.features import FEATURE_NAMES
from stream_app.errors import ArtifactError
from stream_app.models.base import ModelSettings

OPSET: Final = 15
"""The newest that all three exporters can write: onnxmltools has no newer one."""
DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSpec:
    """What a Member needs of its graph. None in a shape is a variable length."""

    model: str
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    facts: Mapping[str, str]
    """Written by `stamp` and compared by `checked_graph`: settings without which a graph of the
    right shape would give wrong forecasts."""


def facts_of(settings: ModelSettings) -> dict[str, str]:
    """The settings that give every model's forecast its meaning."""
    return {
        "bar_ms": str(settings.bar_ms),
        "horizon_bars": str(settings.horizon_bars),
        "horizon_by": settings.horizon_by,
        "features": ",".join(FEATURE_NAMES),
    }


def stamp(graph: onnx.ModelProto, spec: GraphSpec) -> bytes:
    """The artifact: the graph with its name and its facts."""
    # Equal models must give equal bytes. The converters write a random name, and operator sets in
    # random order, some twice.
    graph.graph.name = spec.model
    opsets = sorted({entry.domain: entry.version for entry in graph.opset_import}.items())
    del graph.opset_import[:]
    graph.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in opsets)
    onnx.helper.set_model_props(graph, {"model": spec.model, **spec.facts})
    artifact: bytes = graph.SerializeToString()
    return artifact


def checked_graph(artifact: bytes, spec: GraphSpec) -> onnx.ModelProto:
    """The graph of an artifact of this model with these facts.

    Raises:
        ArtifactError: the bytes are no ONNX model, refer to anything outside themselves, belong
            to another model or other settings, or have other inputs or outputs.
    """
    try:
        graph = onnx.load_from_string(artifact)
    except DecodeError:
        raise ArtifactError(f"the {spec.model} artifact is not an ONNX model") from None
    _refuse_foreign(graph, spec)
    _refuse_reach(graph, spec.model)
    _check_shapes("input", spec.inputs, graph.graph.input, spec.model)
    _check_shapes("output", spec.outputs, graph.graph.output, spec.model)
    return graph


def constants(graph: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """The tensors of a checked graph by name: its initializers and its constants.

    Raises:
        TypeError, ValueError: a tensor's bytes do not fit its type or shape.
    """
    tensors = {tensor.name: tensor for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "Constant":
            tensors[node.output[0]] = node.attribute[0].t
    return {name: onnx.numpy_helper.to_array(tensor).copy() for name, tensor in tensors.items()}


def _refuse_foreign(graph: onnx.ModelProto, spec: GraphSpec) -> None:
    written = {entry.key: entry.value for entry in graph.metadata_props}
    made_for = written.pop("model", None)
    if made_for != spec.model:
        raise ArtifactError(
            f"the {spec.model} artifact was written for {made_for or 'no model of this app'}"
        )
    for key, wanted in spec.facts.items():
        if (found := written.get(key)) != wanted:
            raise ArtifactError(
                f"the {spec.model} artifact was trained with {key}={found}, but this worker runs "
                f"with {wanted}; retrain"
            )


def _refuse_reach(graph: onnx.ModelProto, model: str) -> None:
    """Refuse everything that lets a graph reach files or foreign code.

    External data is resolved against the working directory even for a model given as bytes (seen
    with onnx 1.23 and onnxruntime 1.32), so an artifact could read the worker's files. Functions
    and sub-graphs could hide such a tensor, and none of our exporters writes them.
    """
    used = {node.domain for node in graph.graph.node} | {e.domain for e in graph.opset_import}
    if foreign := sorted(used - DOMAINS):
        raise ArtifactError(f"the {model} artifact uses operators of {foreign[0]}")
    if graph.functions:
        raise ArtifactError(f"the {model} artifact defines functions")
    tensors = [*graph.graph.initializer]
    for sparse in graph.graph.sparse_initializer:
        tensors += [sparse.values, sparse.indices]
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise ArtifactError(f"the {model} artifact holds a sub-graph")
            tensors += [attribute.t, *attribute.tensors]
            for sparse in [attribute.sparse_tensor, *attribute.sparse_tensors]:
                tensors += [sparse.values, sparse.indices]
    if any(t.external_data or t.data_location == onnx.TensorProto.EXTERNAL for t in tensors):
        raise ArtifactError(f"the {model} artifact refers to data outside itself")


def _check_shapes(
    kind: str, wanted: Mapping[str, Shape], found: Iterable[onnx.ValueInfoProto], model: str
) -> None:
    tensors = {each.name: each.type.tensor_type for each in found}
    shapes = {
        name: tuple(
            size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim
        )
        for name, tensor in tensors.items()
    }
    if shapes != dict(wanted):
        raise ArtifactError(
            f"the {model} artifact's {kind}s are {shapes}, but these settings need {dict(wanted)}"
        )
    for name, tensor in tensors.items():
        if tensor.elem_type != onnx.TensorProto.FLOAT:
            raise ArtifactError(f"the {model} artifact's {kind} {name} does not hold float32")
