"""Members of many symbols asked by one call answer as each alone does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_app.bars.features import CONTEXT, FEATURES
from stream_app.models.asking import LEVEL
from stream_app.models.base import History, Member
from stream_app.models.kalman import KalmanMember
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.models.kernels import NODE, TreeNodes
from stream_app.models.line import STEPS, Line
from stream_app.models.lstm import LSTMMember
from stream_app.models.lstm_weights import Scale, Weights
from stream_app.models.model_set import ModelSet
from stream_app.models.tree_graph import TreeMember
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.observation import Asked, Part
from stream_app.prediction.question import Context, Question
from tests.fakes import ConstantMember

WEIGHTS = {"kalman": 0.25, "random_forest": 0.25, "lightgbm": 0.25, "lstm": 0.25}
LAYERS = (5, 3)
FAR = 1e9


def line(rng: np.random.Generator) -> Line:
    return Line(size=rng.uniform(0.5, 2.0, STEPS), slopes=rng.normal(size=STEPS))


def trees(rng: np.random.Generator, count: int) -> TreeMember:
    """Trees of one branch and two leaves."""
    nodes = np.empty(3 * count, dtype=NODE)
    nodes["value"] = rng.normal(size=3 * count)
    nodes["feature"] = FEATURES
    nodes["left"] = np.tile([1, 1, 2], count)
    nodes["feature"][::3] = rng.integers(0, FEATURES, count)
    roots = np.arange(0, 3 * count, 3)
    return TreeMember(TreeNodes(nodes, roots, np.ones(count, dtype=np.int64)), 0.01, line(rng))


def lstm(rng: np.random.Generator) -> LSTMMember:
    weights: Weights = {}
    below = FEATURES
    for i, units in enumerate(LAYERS):
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (4 * units, below),
            "weight_hh": (4 * units, units),
            "bias_ih": (4 * units,),
            "bias_hh": (4 * units,),
        }
        for name, shape in shapes.items():
            weights[f"layers.{i}.{name}_l0"] = rng.normal(size=shape).astype(np.float32)
        below = units
    weights["head.weight"] = rng.normal(size=(1, below)).astype(np.float32)
    weights["head.bias"] = rng.normal(size=1).astype(np.float32)
    scale = Scale(
        mean=rng.normal(size=FEATURES).astype(np.float32),
        deviation=np.full(FEATURES, 2.0, dtype=np.float32),
        limit=5.0,
        unit=0.01,
    )
    return LSTMMember(weights, scale, line(rng), LAYERS)


def models(rng: np.random.Generator, **others: ConstantMember) -> ModelSet:
    noise = KalmanNoise()
    members: dict[str, Member] = {
        "kalman": KalmanMember(noise, 3),
        "random_forest": trees(rng, 40),
        "lightgbm": trees(rng, 7),
        "lstm": lstm(rng),
    }
    return ModelSet(version="v1", trained_to_ts=0, members={**members, **others}, noise=noise)


def context(rng: np.random.Generator) -> Context:
    rows = rng.normal(size=(6, FEATURES)).astype(np.float32)
    return Context.of(rng.normal(size=CONTEXT), History(rows))


@pytest.mark.parametrize("seed", range(5))
def test_one_call_for_many_symbols_answers_as_each_member_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sets = [models(rng), models(rng, lightgbm=ConstantMember(0.5)), models(rng)]
    lengths = rng.integers(1, 5, 8)
    stops = np.cumsum(lengths).tolist()
    names = tuple(WEIGHTS)
    parts = [
        Part(Question(sets[at // 3], None if at == 4 else context(rng), names), stop - length, stop)
        for at, (stop, length) in enumerate(zip(stops, lengths.tolist(), strict=True))
    ]
    count = stops[-1]
    moments = rng.normal(size=(LEVEL + 3, count)) * 1e-2
    asked = Asked(parts, moments, rng.normal(size=(count, FEATURES)).astype(np.float32))
    ensemble = Ensemble(weights=WEIGHTS, max_age_ms=1e9)
    ones = np.ones(count)
    blend = ensemble.blend(asked, np.zeros(count, dtype=np.int64), ones, np.full(count, FAR))
    for part in parts:
        for row, name in enumerate(WEIGHTS):
            found = blend.prices[row, part.start : part.stop]
            member = part.question.models.members[name]
            if part.question.context is None and member.needs_features:
                assert np.isnan(found).all()
            else:
                alone = member.predict(asked.rows(part)).tolist()
                assert found.tolist() == [math.exp(each) for each in alone]


def test_a_member_that_needs_features_says_so() -> None:
    rng = np.random.default_rng(1)
    part = Part(Question(models(rng), None, tuple(WEIGHTS)), 0, 1)
    asked = Asked([part], np.zeros((LEVEL + 3, 1)), np.empty((1, FEATURES), dtype=np.float32))
    with pytest.raises(ValueError, match="features"):
        trees(rng, 3).predict(asked.rows(part))
