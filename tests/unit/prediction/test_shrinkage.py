from __future__ import annotations

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from stream_app.prediction.shrinkage import EXPECTED_R2, EnsembleShrinkage, MemberShrinkage
from stream_app.scoring.chance import least_outcomes

FloatArray = NDArray[np.float64]
MONTH = 8640


Shrinkage = MemberShrinkage | EnsembleShrinkage


def member(horizon: int = 1) -> MemberShrinkage:
    return MemberShrinkage(horizon_bars=horizon, memory_bars=MONTH)


def ensemble(horizon: int = 1) -> EnsembleShrinkage:
    return EnsembleShrinkage(horizon_bars=horizon, memory_bars=MONTH)


def factors(shrinkage: Shrinkage, forecast: FloatArray, outcome: FloatArray) -> FloatArray:
    """The factor in force at each forecast: before its own outcome is known."""
    found = []
    for f, y in zip(forecast.tolist(), outcome.tolist(), strict=True):
        found.append(shrinkage.factor)
        shrinkage.take(f, y)
    return np.array(found)


def noise(seed: int, count: int = 3 * MONTH) -> FloatArray:
    return np.random.default_rng(seed).normal(0, 1e-3, count)


def over(horizon: int, steps: FloatArray) -> FloatArray:
    """Overlapping sums of `horizon` steps."""
    return np.convolve(steps, np.ones(horizon), "valid")


def relative_mse(factor: FloatArray, forecast: FloatArray, outcome: FloatArray) -> float:
    return float(np.square(outcome - factor * forecast).mean() / np.square(outcome).mean())


def test_a_member_starts_at_nothing_and_an_ensemble_of_members_at_all() -> None:
    assert member().factor == 0.0
    assert ensemble().factor == 1.0


@pytest.mark.parametrize("horizon", [1, 3, 12, 48])
def test_too_few_outcomes_say_nothing(horizon: int) -> None:
    good = np.full(least_outcomes(horizon), 1e-3)
    assert not factors(member(horizon), good, good).any()
    assert factors(ensemble(horizon), good, -good).all()


@pytest.mark.parametrize("size", [0.05, 0.4, 1.5])
@pytest.mark.parametrize("horizon", [1, 3, 12, 48])
def test_a_member_that_knows_nothing_does_next_to_no_harm(horizon: int, size: float) -> None:
    """However large its forecasts are, and however alike its neighbouring ones."""
    for seed in range(6):
        outcome = over(horizon, noise(seed))
        forecast = size * over(horizon, noise(100 + seed))
        factor = factors(member(horizon), forecast, outcome)
        assert relative_mse(factor, forecast, outcome) < 1.001


def test_before_anything_is_known_a_member_is_given_what_is_expected() -> None:
    outcome, forecast = noise(20), 0.5 * noise(21)
    shrinkage = member()
    factors(shrinkage, forecast[:60], outcome[:60])
    size = np.square(forecast[:60]).mean() / np.square(outcome[:60]).mean()
    assert 0 < shrinkage.factor**2 * size < 3 * EXPECTED_R2


def test_what_models_knew_when_they_had_learned_little_counts_for_what_it_says() -> None:
    """Young models say the same signal in more noise; that makes no one doubt the grown ones."""
    known = 0.08 * noise(22, MONTH)
    outcome = known + noise(23, MONTH)
    young = np.arange(MONTH) < MONTH // 2
    forecast = known + np.where(young, 0.5, 0.05) * noise(24, MONTH)
    factor = factors(member(), forecast, outcome)
    assert factor[MONTH // 2 - 1] < 0.15
    assert factor[-1] > 0.5


def test_small_skill_is_kept() -> None:
    """A true R2 of 1 %: found within five days of five-minute bars, most of it kept."""
    known = noise(1) * 0.1
    outcome = known + noise(2)
    factor = factors(member(), known, outcome)
    day = 288
    assert factor[5 * day] > 0.3
    later = slice(5 * day, None)
    kept = 1 - relative_mse(factor[later], known[later], outcome[later])
    assert kept > 0.5 * (1 - relative_mse(np.ones_like(known[later]), known[later], outcome[later]))


def test_plain_skill_is_kept_at_a_long_horizon() -> None:
    """The prior expects next to nothing at 12 bars; evidence beyond chance overrules it."""
    known = over(12, noise(3))
    outcome = known + over(12, noise(4))
    assert factors(member(12), known, outcome)[MONTH] > 0.8


def test_an_overconfident_member_is_taken_back_to_what_is_true_of_it() -> None:
    outcome = noise(5)
    factor = factors(member(), 4.0 * 0.2 * outcome + noise(6) * 0.4, outcome)
    slope = 0.8 / (0.8**2 + 0.4**2)
    assert factor[-1] == pytest.approx(slope, abs=0.03)


def test_a_member_with_the_wrong_sign_gets_nothing() -> None:
    outcome = noise(7)
    assert not factors(member(), -0.3 * outcome, outcome)[100:].any()


def test_the_ensemble_is_taken_back_when_it_does_harm() -> None:
    outcome = noise(8)
    factor = factors(ensemble(), -0.3 * outcome, outcome)
    assert factor[288] == 0.0
    assert relative_mse(factor, -0.3 * outcome, outcome) < 1.01


def test_the_ensemble_is_left_alone_while_it_is_right() -> None:
    known = noise(9) * 0.1
    assert factors(ensemble(), known, known + noise(10)).min() == 1.0


def test_what_was_is_forgotten() -> None:
    outcome, known = noise(11), noise(12) * 0.2
    outcome[:MONTH] += known[:MONTH]
    outcome[MONTH:] -= known[MONTH:]
    factor = factors(member(), known, outcome)
    assert factor[MONTH] > 0.5
    assert factor[2 * MONTH] == 0.0


def test_one_wild_outcome_decides_nothing() -> None:
    """A single outcome of 30 deviations gives its own variance too."""
    outcome, forecast = noise(13, 1000), noise(14, 1000) * 0.1
    calm = factors(member(), forecast, outcome)[-1]
    outcome[500], forecast[500] = 0.03, 2e-4
    assert factors(member(), forecast, outcome)[-1] < calm + 0.3


def test_it_comes_back_from_its_sums() -> None:
    outcome, known = noise(15, 900), noise(16, 900) * 0.3
    one, two = member(), member()
    factors(one, known, outcome + known)
    two.restore(orjson.loads(orjson.dumps(list(one.sums))))
    assert two.factor == one.factor > 0
    one.take(1e-3, 2e-3)
    two.take(1e-3, 2e-3)
    assert (two.sums, two.factor) == (one.sums, one.factor)


@pytest.mark.parametrize("value", [0.0, 1e-320, 1e-160, 5e-324])
def test_forecasts_too_small_to_square_leave_the_prior(value: float) -> None:
    shrinkage = member()
    for _ in range(100):
        shrinkage.take(value, value)
    assert 0.0 <= shrinkage.factor <= 1.0
