"""The scalar recursion against filterpy, and its covariance under extreme noise."""

from __future__ import annotations

import numpy as np
import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from stream_app.models.kalman_filter import NOISE_MAX, NOISE_MIN, KalmanFilter, KalmanNoise
from stream_app.models.kalman_reference import largest_difference

BAR_MS = 300_000


def variance(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.clip(np.exp(x), low, high)))


def noise(low: float, high: float) -> st.SearchStrategy[KalmanNoise]:
    each = variance(low, high)
    return st.builds(KalmanNoise, q_level=each, q_velocity=each, r=each)


gaps = st.one_of(
    st.integers(0, 2 * BAR_MS),
    st.sampled_from([0, 1, BAR_MS, -1, -BAR_MS, 12 * BAR_MS, 13 * BAR_MS, 10_000 * BAR_MS]),
)
ticks = st.lists(st.tuples(st.floats(-0.05, 0.05), gaps), min_size=2, max_size=60)


def path(steps: list[tuple[float, int]]) -> tuple[list[float], list[int]]:
    """Log prices around ln(40000) and times; a negative gap is a tick out of order."""
    moves, waits = zip(*steps, strict=True)
    return (10.6 + np.cumsum(moves)).tolist(), (10**12 + np.cumsum(waits)).tolist()


@given(noise=noise(1e-12, 1e-2), steps=ticks)
@example(noise=KalmanNoise(), steps=[(0.0, 0)] * 50)
def test_the_recursion_is_filterpys(noise: KalmanNoise, steps: list[tuple[float, int]]) -> None:
    prices, times = path(steps)
    assert largest_difference(noise, np.array(prices), np.array(times), BAR_MS) < 1e-9


@given(st.lists(noise(NOISE_MIN, NOISE_MAX), min_size=1, max_size=60), ticks)
def test_the_covariance_stays_positive_definite(
    noises: list[KalmanNoise], steps: list[tuple[float, int]]
) -> None:
    """Also when the noise changes between ticks, as a retrain changes it."""
    kalman = KalmanFilter()
    for i, (price, ts) in enumerate(zip(*path(steps), strict=True)):
        noise = noises[i % len(noises)]
        kalman.update(price, ts, noise, BAR_MS)
        assert kalman.p00 > 0
        assert kalman.p11 > 0
        assert kalman.det > 0
        # The carried determinant is the covariance's own, to the digits that the product keeps.
        product = kalman.p00 * kalman.p11
        assert abs(product - kalman.p01**2 - kalman.det) <= 1e-12 * product
        assert kalman.p00 <= noise.r * (1 + 1e-12)
        assert np.isfinite([kalman.level, kalman.velocity, kalman.innovation]).all()


@given(noise=noise(1e-12, 1e-2), steps=ticks)
def test_a_snapshot_in_json_goes_on_exactly(
    noise: KalmanNoise, steps: list[tuple[float, int]]
) -> None:
    kalman = KalmanFilter()
    for price, ts in zip(*path(steps), strict=True):
        restored = KalmanFilter.from_state(orjson.loads(orjson.dumps(kalman.to_state())))
        twin = kalman.copy()
        assert restored.to_state() == twin.to_state() == kalman.to_state()
        for each in (kalman, restored, twin):
            each.update(price, ts, noise, BAR_MS)
        assert restored.to_state() == twin.to_state() == kalman.to_state()
