"""The artifact that stands in for a model's own: a member like the others, and as strictly read."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime
import orjson
import pytest

from stream_app.errors import ArtifactError
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import KalmanMember, noise_of
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.models.last_price import KEY, LastPriceMember, last_price_artifact
from stream_app.models.lstm_weights import read_weights
from tests.contract.worlds import MODELS, SETTINGS, live_rows, young_rows

REASON = "the price is no market's"
every_model = pytest.mark.parametrize("name", MODELS)
GRAPHS = [name for name in MODELS if CATALOG[name].suffix == "onnx"]
of_a_graph = pytest.mark.parametrize("name", GRAPHS)


def made(name: str, reason: str = REASON) -> bytes:
    return last_price_artifact(name, CATALOG[name].suffix, reason, SETTINGS)


@every_model
def test_it_answers_the_last_price_and_knows_why(name: str) -> None:
    member = CATALOG[name].load(made(name), SETTINGS)
    assert isinstance(member, LastPriceMember)
    assert member.reason == REASON
    for count in (1, 257):
        answers = member.predict(live_rows(count))
        assert answers.shape == (count,)
        assert answers.dtype == np.float64
        assert not answers.any()


@every_model
def test_it_needs_no_features(name: str) -> None:
    young = young_rows(4)
    member = CATALOG[name].load(made(name), SETTINGS)
    assert not member.needs_features
    assert not member.predict(young).any()


@every_model
def test_equal_reasons_give_equal_artifacts_of_one_line(name: str) -> None:
    assert made(name) == made(name) != made(name, "another")
    member = CATALOG[name].load(made(name, "two\nlines " + "x" * 1000), SETTINGS)
    assert isinstance(member, LastPriceMember)
    assert member.reason == ("two lines " + "x" * 1000)[:200]


@of_a_graph
def test_it_is_a_graph_that_onnxruntime_runs(name: str) -> None:
    features = live_rows(5).features
    assert features is not None
    session = onnxruntime.InferenceSession(made(name))
    (answers,) = session.run(["y"], {"x": features})
    assert answers.shape == (5, 1)
    assert not answers.any()


@every_model
@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_a_truncated_one_is_refused(name: str, part: float) -> None:
    artifact = made(name)
    with pytest.raises(ArtifactError, match=name):
        CATALOG[name].load(artifact[: int(len(artifact) * part)], SETTINGS)


@every_model
def test_one_of_another_model_is_refused(name: str) -> None:
    for other in set(MODELS) - {name}:
        if not {name, other} <= set(GRAPHS):
            continue  # JSON names no model: the manifest's digest tells
        with pytest.raises(ArtifactError, match=name):
            CATALOG[name].load(made(other), SETTINGS)


@of_a_graph
@pytest.mark.parametrize(("field", "value"), [("horizon_bars", 2), ("bar_ms", 300_000)])
def test_one_of_other_settings_is_refused(name: str, field: str, value: int) -> None:
    changed: dict[str, int] = {field: value}
    other = dataclasses.replace(SETTINGS, **changed)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=f"{field}=.*retrain"):
        CATALOG[name].load(made(name), other)


@of_a_graph
def test_one_without_its_reason_is_refused(name: str) -> None:
    graph = onnx.load_from_string(made(name))
    kept = [entry for entry in graph.metadata_props if entry.key != KEY]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    graph.doc_string = KEY
    with pytest.raises(ArtifactError, match="does not say why"):
        CATALOG[name].load(graph.SerializeToString(), SETTINGS)


@pytest.mark.parametrize("values", [{KEY: 1}, {KEY: None}, {KEY: "why", "r": 1e-8}])
def test_json_that_is_not_exactly_one_is_refused(values: object) -> None:
    with pytest.raises(ArtifactError, match="kalman"):
        CATALOG["kalman"].load(orjson.dumps(values), SETTINGS)


def test_it_has_no_weights_to_start_from() -> None:
    with pytest.raises(ArtifactError, match="lstm"):
        read_weights(made("lstm"), SETTINGS)


def test_a_filter_that_could_not_be_trained_runs_with_its_default_noise() -> None:
    """In a worker and in a backtest alike."""
    assert noise_of(CATALOG["kalman"].load(made("kalman"), SETTINGS)) == KalmanNoise()
    learned = KalmanNoise(q_level=3e-7)
    assert noise_of(KalmanMember(learned, 1)) == learned
