from __future__ import annotations

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from stream_app.messages.schemas import PLAIN_HARM
from stream_app.prediction.harm import HarmTest

BAR = 60_000
Floats = NDArray[np.float64]


def run(forecast: Floats, outcome: Floats, horizon: int = 1) -> tuple[HarmTest, float]:
    """The test after these, and the highest e-value on the way."""
    test, highest = HarmTest(horizon_bars=horizon, bar_ms=BAR), 1.0
    for number, (f, y) in enumerate(zip(forecast.tolist(), outcome.tolist(), strict=True)):
        test.take(number * BAR, f, y)
        highest = max(highest, test.e_value)
    return test, highest


def noise(seed: int, count: int = 4000) -> Floats:
    return np.random.default_rng(seed).standard_t(4, count) * 1e-3


def test_harm_becomes_plain() -> None:
    outcome = noise(1)
    assert run(-0.2 * outcome + 0.1 * noise(2), outcome)[1] > PLAIN_HARM


def test_too_much_of_nothing_is_harm_too() -> None:
    assert run(0.7 * noise(3), noise(4))[1] > PLAIN_HARM


@pytest.mark.parametrize("horizon", [1, 12])
def test_where_there_is_no_harm_the_highest_e_value_is_rarely_large(horizon: int) -> None:
    """Small forecasts of nothing, which cost next to nothing; looked at after each outcome."""
    highest = []
    for seed in range(60):
        steps = noise(seed, 3000 + horizon)
        outcome = np.convolve(steps, np.ones(horizon), "valid")
        forecast = 0.01 * noise(1000 + seed, len(outcome))
        highest.append(run(forecast, outcome, horizon)[1])
    assert np.mean(np.array(highest) > 10) <= 0.1 + 0.08
    assert np.mean(np.array(highest) > PLAIN_HARM) <= 0.01 + 0.03


def test_skill_is_no_harm() -> None:
    known = 0.1 * noise(5)
    assert run(known, known + noise(6))[0].e_value < 1


def test_forecasts_of_the_last_price_say_nothing() -> None:
    assert run(np.zeros(500), noise(7, 500))[0].e_value == 1.0


def test_it_comes_back_from_its_state() -> None:
    one, _ = run(0.3 * noise(8, 500), noise(9, 500))
    two = HarmTest(horizon_bars=1, bar_ms=BAR)
    two.restore(orjson.loads(orjson.dumps(one.state())))
    for test in (one, two):
        test.take(500 * BAR, 2e-4, -1e-3)
    assert two.e_value == one.e_value != 1.0
