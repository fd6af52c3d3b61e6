"""An artifact is data: whatever is not exactly a model of these settings is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
import pytest
from onnx import TensorProto, helper

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import KalmanMember
from stream_app.models.onnx_artifact import stamp
from stream_app.models.tree_graph import tree_spec
from tests.contract.conftest import Trained, train
from tests.contract.worlds import MODELS, SETTINGS

SPEC = tree_spec("random_forest", SETTINGS)


@pytest.fixture(scope="module")
def artifacts() -> dict[str, bytes]:
    return {name: train(name).artifact for name in MODELS}


def test_an_artifact_is_no_pickle(trained: Trained) -> None:
    readers: dict[str, Callable[[bytes], object]] = {
        "json": orjson.loads,
        "onnx": onnx.load_from_string,
    }
    assert readers[CATALOG[trained.name].suffix](trained.artifact)
    for mark in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04"):
        assert not trained.artifact.startswith(mark)
    for word in (b"sklearn", b"torch.", b"__reduce__", b"cbuiltins"):
        assert word not in trained.artifact


@pytest.mark.parametrize("junk", [b"", b"{}", b"\x00" * 64, b"\xff\xfe", b"[" * 100_000])
def test_junk_is_refused(trained: Trained, junk: bytes) -> None:
    with pytest.raises(ArtifactError, match=trained.name):
        CATALOG[trained.name].load(junk, SETTINGS)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_artifact_is_refused(trained: Trained, part: float) -> None:
    with pytest.raises(ArtifactError, match=trained.name):
        CATALOG[trained.name].load(trained.artifact[: int(len(trained.artifact) * part)], SETTINGS)


def test_another_models_artifact_is_refused(trained: Trained, artifacts: dict[str, bytes]) -> None:
    for name in set(MODELS) - {trained.name}:
        with pytest.raises(ArtifactError, match=trained.name):
            CATALOG[trained.name].load(artifacts[name], SETTINGS)


@pytest.mark.parametrize(
    ("field", "value"),
    [("horizon_bars", 2), ("horizon_by", "bars"), ("bar_ms", 300_000), ("sequence_length", 9)],
)
def test_an_artifact_of_other_settings_is_refused(
    artifacts: dict[str, bytes], field: str, value: int | str
) -> None:
    changed: dict[str, Any] = {field: value}
    other = dataclasses.replace(SETTINGS, **changed)
    named = ["lstm"] if field == "sequence_length" else ["random_forest", "lightgbm", "lstm"]
    for name in named:
        with pytest.raises(ArtifactError, match=rf"{name} .*{field}=.*{value}; retrain"):
            CATALOG[name].load(artifacts[name], other)


def test_an_lstm_of_other_layers_is_refused(artifacts: dict[str, bytes]) -> None:
    for layers in ((8,), (4, 8), (8, 4, 2)):
        other = dataclasses.replace(SETTINGS, lstm_layers=layers)
        with pytest.raises(ArtifactError, match=r"lstm artifact's inputs are .* settings need"):
            CATALOG["lstm"].load(artifacts["lstm"], other)


@pytest.mark.parametrize(
    "altered",
    [
        {"q_level": 1e-6, "q_velocity": 1e-10},
        {"q_level": 1e-6, "q_velocity": 1e-10, "r": 1e-8, "extra": 1},
        {"q_level": 0.0, "q_velocity": 1e-10, "r": 1e-8},
        {"q_level": -1e-6, "q_velocity": 1e-10, "r": 1e-8},
        {"q_level": 1e-6, "q_velocity": 1e-10, "r": 1e300},
        {"q_level": "1e-6", "q_velocity": 1e-10, "r": 1e-8},
        {"q_level": None, "q_velocity": 1e-10, "r": 1e-8},
        {"q_level": True, "q_velocity": 1e-10, "r": 1e-8},
        [1e-6, 1e-10, 1e-8],
    ],
)
def test_an_altered_kalman_artifact_is_refused(altered: object) -> None:
    with pytest.raises(ArtifactError, match="kalman"):
        CATALOG["kalman"].load(orjson.dumps(altered), SETTINGS)


def test_a_kalman_artifact_keeps_its_noise_exactly(artifacts: dict[str, bytes]) -> None:
    member = CATALOG["kalman"].load(artifacts["kalman"], SETTINGS)
    assert isinstance(member, KalmanMember)
    assert dataclasses.asdict(member.noise) == orjson.loads(artifacts["kalman"])


def weights(*, external: str | None = None) -> TensorProto:
    """A [FEATURES, 1] tensor of ones, or one whose values lie in a file."""
    if external is None:
        return helper.make_tensor("w", TensorProto.FLOAT, [FEATURES, 1], [1.0] * FEATURES)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[FEATURES, 1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=external)
    return tensor


def linear(
    nodes: list[onnx.NodeProto],
    initializers: list[TensorProto],
    *,
    inputs: int = FEATURES,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, [None, inputs])],
        [helper.make_tensor_value_info("y", kind, [None, 1])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"])


def refused(model: onnx.ModelProto, reason: str) -> None:
    with pytest.raises(ArtifactError, match=reason):
        CATALOG["random_forest"].load(stamp(model, SPEC), SETTINGS)


def test_an_artifact_that_reads_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.ones(FEATURES, dtype=np.float32).tofile(tmp_path / "secret.bin")
    monkeypatch.chdir(tmp_path)
    outside = "refers to data outside itself"
    refused(linear([PRODUCT], [weights(external="secret.bin")]), outside)
    constant = helper.make_node("Constant", [], ["w"], value=weights(external="secret.bin"))
    refused(linear([constant, PRODUCT], []), outside)


def test_an_artifact_with_foreign_operators_is_refused() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], domain="com.example")
    refused(linear([node], [weights()]), "uses operators of com.example")


def test_an_artifact_with_hidden_graphs_is_refused() -> None:
    body = helper.make_graph(
        [],
        "body",
        [],
        [helper.make_tensor_value_info("w", 1, None)],
        [weights(external="secret.bin")],
    )
    node = helper.make_node("If", ["c"], ["w"], then_branch=body, else_branch=body)
    refused(linear([node, PRODUCT], []), "holds a sub-graph")
    model = linear([PRODUCT], [weights()])
    model.functions.append(
        helper.make_function("", "F", ["x"], ["y"], [PRODUCT], [helper.make_opsetid("", 15)])
    )
    refused(model, "defines functions")


def test_an_artifact_of_another_shape_or_type_is_refused() -> None:
    wide = helper.make_tensor("w", TensorProto.FLOAT, [9, 1], [1.0] * 9)
    refused(linear([PRODUCT], [wide], inputs=9), "inputs are .*9.* settings need .*24")
    exact = helper.make_tensor("w", TensorProto.DOUBLE, [FEATURES, 1], [1.0] * FEATURES)
    refused(linear([PRODUCT], [exact], kind=TensorProto.DOUBLE), "does not hold float32")


def test_an_artifact_of_other_features_is_refused(artifacts: dict[str, bytes]) -> None:
    model = onnx.load_from_string(artifacts["lightgbm"])
    for entry in model.metadata_props:
        if entry.key == "features":
            entry.value = entry.value.replace("return_1,", "return_1b,")
    with pytest.raises(ArtifactError, match="features=return_1b"):
        CATALOG["lightgbm"].load(model.SerializeToString(), SETTINGS)
