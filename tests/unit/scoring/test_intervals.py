"""The scores of intervals against what can be worked out by hand, and against chance."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from stream_app.scoring.intervals import interval_score, winkler, worst_coverage


def test_the_winkler_score_is_smallest_for_the_true_quantiles() -> None:
    outcome = np.random.default_rng(1).standard_normal(200_000)

    def score(low: float, high: float) -> float:
        ones = np.ones_like(outcome)
        return float(winkler(0.8, low * ones, high * ones, outcome).mean())

    true = NormalDist().inv_cdf(0.9)
    best = score(-true, true)
    assert best < min(score(-true - 0.1, true), score(-true, true - 0.1), score(-2, 2))


def test_a_miss_costs_its_distance_by_two_over_the_share_outside() -> None:
    found = winkler(0.9, np.array([-1.0]), np.array([2.0]), np.array([-1.5]))
    assert found.tolist() == pytest.approx([3.0 + 20 * 0.5])


@pytest.mark.parametrize(("share", "worst"), [(0.5, 0.5), (0.2, 0.2)])
def test_the_worst_run_is_the_one_furthest_from_the_level(share: float, worst: float) -> None:
    inside = np.ones(1000, dtype=bool)
    inside[300:588] = np.arange(288) < share * 288
    assert worst_coverage(inside, 0.9) == pytest.approx(worst, abs=0.002)
    assert worst_coverage(np.ones(400, dtype=bool), 0.9) == 1.0
    assert math.isnan(worst_coverage(inside[:287], 0.9))


def test_the_volatile_fifth_is_told_by_the_volatility_and_not_by_the_outcome() -> None:
    volatility = np.arange(1000.0)
    outcome = np.where(volatility < 200, 5.0, 0.0)
    found = interval_score(0.9, -np.ones(1000), np.ones(1000), outcome, volatility)
    assert (found.coverage, found.coverage_volatile, found.n) == (0.8, 1.0, 1000)
    assert found.width == 2.0


@pytest.mark.parametrize(
    ("low", "outcome", "words"),
    [
        (np.zeros(3), np.zeros(4), "do not match"),
        (np.zeros(0), np.zeros(0), "do not match"),
        (np.zeros(3), np.array([0.0, np.nan, 0.0]), "not finite"),
        (np.full(3, 2.0), np.zeros(3), "above its high"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    low: np.ndarray[tuple[int], np.dtype[np.float64]],
    outcome: np.ndarray[tuple[int], np.dtype[np.float64]],
    words: str,
) -> None:
    high = np.ones_like(low)
    with pytest.raises(ValueError, match=words):
        interval_score(0.9, low, high, outcome, np.ones_like(outcome))
