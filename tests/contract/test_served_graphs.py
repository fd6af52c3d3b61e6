"""The compiled loops answer as ONNX Runtime does, and refuse a graph that they would misread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from stream_app.bars.features import FEATURES
from stream_app.errors import ArtifactError
from stream_app.models.base import Rows
from stream_app.models.catalog import CATALOG
from stream_app.models.kernels import LANES
from stream_app.models.line import STEPS
from stream_app.models.onnx_artifact import stamp
from stream_app.models.tree_graph import tree_spec
from tests.contract.conftest import Trained, train
from tests.contract.worlds import SETTINGS, live_rows

SPEC = tree_spec("random_forest", SETTINGS)


@pytest.fixture(scope="module")
def lstm() -> Trained:
    return train("lstm")


def by_onnxruntime(artifact: bytes, rows: Rows) -> NDArray[np.float64]:
    """Its answers: to the LSTM's whole sequences, from states of zero."""
    assert rows.features is not None
    session = onnxruntime.InferenceSession(artifact)
    feed: dict[str, Any] = {"x": rows.features}
    if len(session.get_inputs()) > 1:
        before = np.stack([rows.histories[i].rows for i in rows.history_index.tolist()], axis=1)
        feed["x"] = np.concatenate([before, rows.features[None]])
        for each in session.get_inputs()[1:]:
            feed[each.name] = np.zeros((1, len(rows), each.shape[2]), dtype=np.float32)
    return np.asarray(session.run(["y"], feed)[0][:, 0], dtype=np.float64)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_it_answers_as_onnxruntime_does(trained: Trained, count: int) -> None:
    if CATALOG[trained.name].suffix != "onnx":
        pytest.skip(f"the artifact of {trained.name} is no ONNX graph")
    rows = live_rows(count, histories=min(count, 3))
    expected = by_onnxruntime(trained.artifact, rows)
    served = trained.member.predict(rows)
    scale = np.abs(trained.answers).max()
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-5 * scale)


def test_a_wild_input_is_clipped_as_onnxruntime_does(lstm: Trained) -> None:
    rows = live_rows(6)
    assert rows.features is not None
    for at, value in enumerate((1e30, -1e30, np.inf, -np.inf, 0.0)):
        rows.features[at, at] = value
    np.testing.assert_allclose(
        lstm.member.predict(rows), by_onnxruntime(lstm.artifact, rows), rtol=1e-4
    )


def test_an_input_that_is_no_number_gives_no_number(lstm: Trained) -> None:
    rows = live_rows(3)
    assert rows.features is not None
    rows.features[1, 0] = np.nan
    assert np.isnan(lstm.member.predict(rows)).tolist() == [False, True, False]


Tree = float | tuple[int, float, "Tree", "Tree"]
"""A leaf's value; or a feature, a threshold and what is at or below and above it."""


def fields_of(trees: list[Tree]) -> dict[str, list[Any]]:
    """The operator's attributes, the nodes of each tree numbered from the root down."""
    fields: dict[str, list[Any]] = {
        **{f"nodes_{name}": [] for name in ("treeids", "nodeids", "featureids", "modes")},
        **{f"nodes_{name}": [] for name in ("values", "truenodeids", "falsenodeids")},
        **{f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")},
    }

    def append(kind: str, **values: Any) -> None:
        for name, value in values.items():
            fields[f"{kind}_{name}"].append(value)

    def note(number: int, tree: Tree) -> int:
        at = len(fields["nodes_nodeids"])
        own: int = fields["nodes_treeids"].count(number)
        append("nodes", treeids=number, nodeids=own, truenodeids=0, falsenodeids=0)
        if isinstance(tree, tuple):
            feature, threshold, left, right = tree
            append("nodes", featureids=feature, modes="BRANCH_LEQ", values=threshold)
            fields["nodes_truenodeids"][at] = note(number, left)
            fields["nodes_falsenodeids"][at] = note(number, right)
        else:
            append("nodes", featureids=0, modes="LEAF", values=0.0)
            append("target", treeids=number, nodeids=own, ids=0, weights=tree)
        return own

    for number, tree in enumerate(trees):
        note(number, tree)
    return fields


def forest(fields: dict[str, list[Any]], **more: Any) -> bytes:
    """The artifact of such a forest."""
    given = {"n_targets": 1, "post_transform": "NONE", **fields, **more}
    given = {name: value for name, value in given.items() if value != []}
    graph = helper.make_graph(
        [
            helper.make_node("TreeEnsembleRegressor", ["x"], ["raw"], domain="ai.onnx.ml", **given),
            helper.make_node("Mul", ["raw", "unit"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.array([0.5], dtype=np.float32), "unit")],
    )
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    return stamp(helper.make_model(graph, opset_imports=opsets, ir_version=8), SPEC)


SMALL: list[Tree] = [
    1.0,
    (0, 0.5, 2.0, (1, -1.0, 3.0, (0, 0.75, 4.0, 5.0))),
    (FEATURES - 1, 0.0, (2, 1.0, -1.0, -2.0), -3.0),
]


def random_tree(rng: np.random.Generator, depth: int) -> Tree:
    if depth == 0 or rng.random() < 0.2:
        return float(rng.normal())
    below = (random_tree(rng, depth - 1), random_tree(rng, depth - 1))
    return (int(rng.integers(FEATURES)), float(np.float32(rng.normal())), *below)


def test_a_forest_answers_as_a_hand_count() -> None:
    rows = live_rows(3)
    assert rows.features is not None
    rows.features[:] = 0.0
    rows.features[1, 0] = 0.5  # at a threshold: left
    rows.features[2, [0, FEATURES - 1]] = 0.6, 1.0
    answers = CATALOG["random_forest"].load(forest(fields_of(SMALL)), SETTINGS).predict(rows)
    assert answers.tolist() == [0.5 * (1 + 2 - 1), 0.5 * (1 + 2 - 1), 0.5 * (1 + 4 - 3)]


@pytest.mark.parametrize("trees", [1, LANES - 1, LANES, LANES + 1, 5 * LANES])
def test_trees_of_any_number_and_depth_answer_as_in_onnxruntime(trees: int) -> None:
    rng = np.random.default_rng(trees)
    artifact = forest(
        fields_of([random_tree(rng, depth=int(rng.integers(9))) for _ in range(trees)])
    )
    rows = live_rows(50)
    assert rows.features is not None
    rows.features[:] = rng.normal(size=rows.features.shape)
    served = CATALOG["random_forest"].load(artifact, SETTINGS).predict(rows)
    np.testing.assert_allclose(served, by_onnxruntime(artifact, rows), rtol=0, atol=1e-5)


def changed(name: str, at: int, value: Any) -> Callable[[dict[str, list[Any]]], None]:
    def change(fields: dict[str, list[Any]]) -> None:
        fields[name][at] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed("nodes_modes", 1, "BRANCH_GT"), "neither a leaf nor a comparison by <="),
        (changed("nodes_featureids", 1, FEATURES), "feature does not exist"),
        (changed("nodes_featureids", 1, -1), "feature does not exist"),
        (changed("nodes_featureids", 1, 2**40), "feature does not exist"),
        (changed("nodes_values", 1, float("nan")), "not finite"),
        (changed("target_weights", 0, float("inf")), "not finite"),
        (changed("nodes_truenodeids", 1, 99), "does not exist"),
        (changed("nodes_falsenodeids", 1, 1), "below two others"),
        (changed("nodes_falsenodeids", 1, 0), "circle"),
        (changed("nodes_treeids", 1, -1), "negative"),
        (changed("target_nodeids", 1, 0), "leaves and their values do not match"),
        (lambda fields: fields["target_weights"].pop(), "no usable trees"),
        (lambda fields: fields["nodes_falsenodeids"].pop(), "no usable trees"),
        (lambda fields: fields.pop("nodes_values"), "no usable trees"),
        (lambda fields: [each.clear() for each in fields.values()], "no usable trees"),
    ],
)
def test_a_forest_that_would_be_misread_is_refused(
    change: Callable[[dict[str, list[Any]]], None], reason: str
) -> None:
    fields = fields_of(SMALL)
    change(fields)
    with pytest.raises(ArtifactError, match=rf"random_forest artifact .*{reason}"):
        CATALOG["random_forest"].load(forest(fields), SETTINGS)


@pytest.mark.parametrize(
    "more",
    [
        {"aggregate_function": "AVERAGE"},
        {"post_transform": "LOGISTIC"},
        {"base_values": [1.0]},
        {"n_targets": 2},
    ],
)
def test_a_forest_that_is_not_summed_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=f"the trees' {next(iter(more))} is not"):
        CATALOG["random_forest"].load(forest(fields_of(SMALL), **more), SETTINGS)


def test_a_graph_with_other_operators_is_refused(lstm: Trained) -> None:
    graph = onnx.load_from_string(forest(fields_of(SMALL)))
    graph.graph.node.append(helper.make_node("Neg", ["x"], ["z"]))
    with pytest.raises(ArtifactError, match="random_forest artifact is not a forest times a unit"):
        CATALOG["random_forest"].load(graph.SerializeToString(), SETTINGS)
    graph = onnx.load_from_string(lstm.artifact)
    next(node for node in graph.graph.node if node.op_type == "Clip").op_type = "Relu"
    with pytest.raises(ArtifactError, match="lstm artifact holds no weights"):
        CATALOG["lstm"].load(graph.SerializeToString(), SETTINGS)


@pytest.mark.parametrize("name", ["mean", "deviation"])
def test_an_lstm_without_a_usable_scale_is_refused(lstm: Trained, name: str) -> None:
    for values, reason in (
        (np.full(FEATURES, np.nan, dtype=np.float32), f"{name} that is not finite"),
        (np.ones(FEATURES), f"{name} that is not finite float32"),
        (np.ones(FEATURES + 1, dtype=np.float32), "mean and positive deviation"),
    ):
        graph = onnx.load_from_string(lstm.artifact)
        found = next(each for each in graph.graph.initializer if each.name == name)
        found.CopyFrom(numpy_helper.from_array(values, name))
        with pytest.raises(ArtifactError, match=reason):
            CATALOG["lstm"].load(graph.SerializeToString(), SETTINGS)


@pytest.mark.parametrize("name", ["random_forest", "lightgbm", "lstm"])
@pytest.mark.parametrize(
    ("tensor", "values", "reason"),
    [
        ("line_slopes", np.full((STEPS, 1), np.nan, dtype=np.float32), "not finite"),
        ("line_slopes", np.zeros((STEPS - 1, 1), dtype=np.float32), "does not go through"),
        ("line_size", np.zeros(STEPS, dtype=np.float32), "size of 0"),
        ("line_high", np.array(5.0, dtype=np.float32), "other returns or limits"),
        ("line_until", np.arange(STEPS - 1), "other returns or limits"),
    ],
)
def test_a_line_that_would_be_misread_is_refused(
    name: str, tensor: str, values: NDArray[Any], reason: str
) -> None:
    graph = onnx.load_from_string(train(name).artifact)
    found = next(each for each in graph.graph.initializer if each.name == tensor)
    found.CopyFrom(numpy_helper.from_array(values, tensor))
    with pytest.raises(ArtifactError, match=f"{name} artifact's line is of no use: .*{reason}"):
        CATALOG[name].load(graph.SerializeToString(), SETTINGS)


@pytest.mark.parametrize("name", ["random_forest", "lightgbm", "lstm"])
def test_other_operators_behind_a_model_are_refused(name: str) -> None:
    graph = onnx.load_from_string(train(name).artifact)
    graph.graph.node[-1].op_type = "Sub"
    with pytest.raises(ArtifactError, match="line is of no use: other operators"):
        CATALOG[name].load(graph.SerializeToString(), SETTINGS)
