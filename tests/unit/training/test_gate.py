"""What the gate decides, from figures alone. `tests/integration/test_gate.py` has real models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from stream_app.training.fit import (
    FEWEST_OUTCOMES,
    SKILL,
    Comparison,
    Fit,
    bounds,
    compare,
    fit_of,
    linear_r2,
)
from stream_app.training.gate import ENSEMBLE, Verdict, judge

WELL = Fit(finite=True, constant=False, r2=0.01, t=-4.0, size=0.05, next_bar=0.01)
ALL_WELL = dict.fromkeys(("kalman", "random_forest", "lightgbm", "lstm", ENSEMBLE), WELL)


def verdict(
    fits: Mapping[str, Fit] | None = None,
    *,
    champion: Comparison | None = None,
    horizon: int = 1,
    behind_s: float = 0.0,
) -> Verdict:
    most = bounds(8600, horizon, linear=0.0, linear_next=0.0)
    return judge(ALL_WELL | dict(fits or {}), most, behind_s=behind_s, champion=champion)


def test_a_challenger_that_is_well_passes_with_its_figures_and_bounds() -> None:
    passed = verdict(champion=Comparison(rows=288, t=-0.5))
    assert (passed.check, passed.reason) == (None, "")
    assert passed.figures["lstm.r2"] == 0.01
    assert passed.figures["champion.t"] == -0.5
    assert passed.figures["bound.r2"] == pytest.approx(0.0644, abs=1e-4)
    assert passed.figures["data.behind_s"] == 0


@pytest.mark.parametrize(
    ("fits", "check"),
    [
        ({"lstm": replace(WELL, finite=False, r2=math.nan, t=math.nan)}, "not_finite"),
        ({"kalman": replace(WELL, finite=False)}, "not_finite"),
        ({"lightgbm": replace(WELL, constant=True)}, "constant"),
        ({ENSEMBLE: replace(WELL, constant=True)}, None),
        ({"lstm": replace(WELL, t=3.1)}, "worse_than_last_price"),
        ({ENSEMBLE: replace(WELL, t=3.1)}, "worse_than_last_price"),
        ({"lstm": replace(WELL, t=2.9)}, None),
        ({"kalman": replace(WELL, t=9.0, r2=-0.05)}, None),
        ({"random_forest": replace(WELL, r2=0.07)}, "too_good"),
        ({"random_forest": replace(WELL, r2=0.06)}, None),
        ({"kalman": replace(WELL, r2=0.9)}, None),
        ({ENSEMBLE: replace(WELL, size=0.26)}, "too_large"),
        ({"lstm": replace(WELL, size=0.26)}, "too_large"),
        ({"lstm": replace(WELL, size=0.25)}, None),
        ({"kalman": replace(WELL, size=0.9)}, None),
    ],
)
def test_each_check_is_taken_of_what_it_is_for(fits: dict[str, Fit], check: str | None) -> None:
    assert verdict(fits).check == check


def test_at_a_long_horizon_what_is_known_of_the_next_bar_gives_the_future_away() -> None:
    known = replace(WELL, r2=0.3, next_bar=0.1)
    assert verdict({"lstm": known}, horizon=12).check == "too_good"
    assert "of the next bar" in verdict({"lstm": known}, horizon=12).reason
    assert verdict({"lstm": replace(known, next_bar=0.07)}, horizon=12).check is None


def test_the_ensemble_is_never_larger_than_half_of_what_comes() -> None:
    large = replace(WELL, size=0.55)
    assert verdict({"lstm": large}, horizon=12).check is None
    assert verdict({ENSEMBLE: large}, horizon=12).check == "too_large"


def test_data_older_than_the_window_and_a_better_champion_are_reasons() -> None:
    assert verdict(behind_s=300.0).check == "stale"
    assert verdict(champion=Comparison(rows=288, t=4.1)).check == "worse_than_champion"
    assert verdict(champion=Comparison(rows=288, t=3.9)).check is None
    assert verdict(champion=Comparison(rows=5, t=math.nan)).check is None
    assert "champion.t" not in verdict(champion=Comparison(rows=5, t=math.nan)).figures


def test_figures_of_answers() -> None:
    outcomes = np.array([0.01, -0.02, 0.01, 0.03])
    right = fit_of(outcomes / 2, outcomes, outcomes, 1)
    assert right.r2 == pytest.approx(0.75)
    assert right.size == pytest.approx(0.5)
    assert right.next_bar == pytest.approx(1.0)
    assert right.t < 0
    wrong = fit_of(-outcomes, outcomes, outcomes, 1)
    assert wrong.r2 == pytest.approx(-3.0)
    assert wrong.t > 0
    assert fit_of(np.full(4, 1e-3), outcomes, outcomes, 1).constant
    assert fit_of(np.zeros(4), outcomes, outcomes, 1).constant
    assert not right.constant
    assert not fit_of(np.array([0.0, math.inf, 0, 0]), outcomes, outcomes, 1).finite
    still = fit_of(outcomes, np.zeros(4), np.full(4, np.nan), 1)
    assert math.isnan(still.r2)


def test_at_a_long_horizon_a_tree_may_answer_the_drift_and_no_other_constant() -> None:
    outcomes = np.random.default_rng(1).normal(1e-3, 0.01, 500)
    drift = float(outcomes.mean())
    for horizon, answer, constant in (
        (1, drift, True),
        (2, drift, False),
        (48, drift, False),
        (48, 0.0, False),
        (48, 0.01, True),
    ):
        answers = np.full(500, answer)
        assert fit_of(answers, outcomes, outcomes, horizon).constant is constant


def test_the_champion_is_compared_with_where_there_are_enough_outcomes() -> None:
    rng = np.random.default_rng(1)
    outcomes = rng.normal(0, 1e-3, 288)
    noise = rng.normal(0, 1e-3, 288)
    clearly = compare(noise, np.zeros(288), outcomes, 1)
    assert clearly.t > 4
    assert compare(np.zeros(288), noise, outcomes, 1).t < -4
    assert math.isnan(compare(noise, np.zeros(288), outcomes, 48).t)
    few = FEWEST_OUTCOMES - 1
    assert math.isnan(compare(noise[:few], np.zeros(few), outcomes[:few], 1).t)
    assert math.isnan(compare(outcomes, outcomes, outcomes, 1).t)


def test_bounds_leave_room_for_skill_and_noise_and_close_with_more_rows() -> None:
    month = bounds(8600, 1, linear=0.0, linear_next=0.0)
    assert month.r2 == pytest.approx(SKILL + 400 / 9000)
    assert month.size == pytest.approx(math.sqrt(month.r2))
    hour = bounds(8600, 12, linear=0.0, linear_next=0.0)
    assert hour.r2 > 5 * month.r2
    assert hour.next_bar < 0.1
    assert month.next_bar == 1.0
    assert bounds(8600, 1, linear=0.05, linear_next=0.05).r2 == pytest.approx(month.r2 + 0.1)
    assert bounds(60, 48, linear=0.3, linear_next=0.3).r2 == 1.0


def test_the_line_through_past_returns_finds_what_is_there_and_no_noise() -> None:
    rng = np.random.default_rng(2)
    past = rng.normal(0, 1, (4000, 12))
    noise = rng.normal(0, 1, 4000)
    assert linear_r2(past, noise, 1) < 0.003
    assert linear_r2(past, 0.5 * past[:, 0] + noise, 1) == pytest.approx(0.2, abs=0.03)
    assert linear_r2(past, np.zeros(4000), 1) == 0.0
