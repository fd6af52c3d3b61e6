from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stream_app.bars.features import CONTEXT, FEATURES, LOG_PRICE
from stream_app.clock import HOUR_MS
from stream_app.models.asking import LEVEL
from stream_app.models.base import History
from stream_app.models.model_set import ModelSet, untrained
from stream_app.prediction.ensemble import Blend, Ensemble
from stream_app.prediction.observation import FAR, Asked, Part
from stream_app.prediction.question import Context, Question
from tests.fakes import ConstantMember, model_set

WEIGHTS = {"kalman": 0.10, "random_forest": 0.30, "lightgbm": 0.35, "lstm": 0.25}
PRICE = 100.0


def asked(models: ModelSet, count: int = 2, *, with_features: bool = True) -> Asked:
    moments = np.zeros((FAR + 1, count))
    moments[LOG_PRICE] = math.log(PRICE)
    moments[LEVEL] = math.log(PRICE) + 0.01
    context = Context.of(np.zeros(CONTEXT), History(np.zeros((7, FEATURES), dtype=np.float32)))
    question = Question(models, context if with_features else None, tuple(WEIGHTS))
    features = np.zeros((count, FEATURES), dtype=np.float32)
    return Asked([Part(question, 0, count)], moments, features)


def blend(
    models: ModelSet, *, ts: int = HOUR_MS, weights: Any = None, far: float = 1.0, **kwargs: Any
) -> Blend:
    ensemble = Ensemble(weights=weights or WEIGHTS, max_age_ms=24 * HOUR_MS)
    given = asked(models, **kwargs)
    count = given.parts[0].stop
    return ensemble.blend(given, np.full(count, ts), np.full(count, PRICE), np.full(count, far))


def members(**returns: float) -> dict[str, ConstantMember]:
    return {name: ConstantMember(value) for name, value in returns.items()}


ALL = members(random_forest=0.02, lightgbm=-0.01, lstm=0.0)


def test_all_four_members_answer_with_the_configured_weights() -> None:
    result = blend(model_set(ALL))
    assert dict(zip(result.names, result.weights[:, 0], strict=True)) == pytest.approx(WEIGHTS)
    wanted = PRICE * (0.10 * math.exp(0.01) + 0.30 * math.exp(0.02) + 0.35 * math.exp(-0.01) + 0.25)
    assert result.price == pytest.approx([wanted, wanted])
    assert result.degraded == ((), ())


def test_before_the_first_training_the_kalman_filter_answers_alone_and_says_so() -> None:
    result = blend(untrained(1), with_features=False)
    assert result.price == pytest.approx([PRICE * math.exp(0.01)] * 2)
    assert result.weights[0].tolist() == [1.0, 1.0]
    assert result.degraded[0] == (
        "random_forest: not trained yet",
        "lightgbm: not trained yet",
        "lstm: not trained yet",
    )


def test_a_missing_member_is_left_out_and_the_others_renormalised() -> None:
    result = blend(model_set(members(random_forest=0.0, lightgbm=0.0)))
    assert result.weights[:, 0] == pytest.approx([0.10 / 0.75, 0.30 / 0.75, 0.35 / 0.75, 0.0])
    assert result.degraded[0] == ("lstm: not trained yet",)


def test_models_that_are_too_old_are_left_out_by_event_time() -> None:
    old = model_set(ALL, trained_to_ts=0)
    fresh = blend(old, ts=24 * HOUR_MS)
    assert fresh.degraded[0] == ()
    stale = blend(old, ts=24 * HOUR_MS + 1)
    assert stale.weights[0].tolist() == [1.0, 1.0]
    assert stale.degraded[0] == ("random_forest: too old", "lightgbm: too old", "lstm: too old")


def test_an_answer_that_is_not_finite_is_left_out() -> None:
    result = blend(model_set(members(random_forest=math.nan, lightgbm=0.0, lstm=1e9)))
    assert np.isfinite(result.price).all()
    assert result.degraded[0] == (
        "random_forest: its answer was not finite",
        "lstm: its answer was not finite",
    )


def test_a_window_with_too_few_bars_is_said() -> None:
    result = blend(model_set(ALL), with_features=False)
    assert result.degraded[0] == tuple(
        f"{name}: the window has too few bars" for name in ("random_forest", "lightgbm", "lstm")
    )


def test_with_a_kalman_weight_of_zero_it_still_answers_when_it_is_alone() -> None:
    weights = {"kalman": 0.0, "random_forest": 0.5, "lightgbm": 0.5, "lstm": 0.0}
    result = blend(untrained(1), weights=weights, with_features=False)
    assert result.price == pytest.approx([PRICE * math.exp(0.01)] * 2)


def test_a_member_too_far_from_the_last_price_is_left_out_and_named() -> None:
    result = blend(model_set(members(random_forest=0.5, lightgbm=-0.01, lstm=0.0)), far=0.02)
    assert result.weights[:, 0] == pytest.approx([0.10 / 0.7, 0.0, 0.35 / 0.7, 0.25 / 0.7])
    assert result.degraded[0] == ("random_forest: its answer was too far from the last price",)
    assert PRICE * math.exp(-0.01) <= result.price[0] <= PRICE * math.exp(0.01)


def test_where_only_the_kalman_filter_is_left_its_answer_is_cut_to_what_is_believed() -> None:
    result = blend(untrained(1), with_features=False, far=0.002)
    assert result.price == pytest.approx([PRICE * math.exp(0.002)] * 2)
    assert result.weights[0].tolist() == [1.0, 1.0]
    assert "kalman: its answer was too far from the last price" in result.degraded[0]
