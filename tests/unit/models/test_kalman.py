from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.errors import TrainingError
from stream_app.models import kalman as kalman_model
from stream_app.models.base import ModelSettings, TrainingData
from stream_app.models.kalman import KalmanForecaster, filtered, fit_noise
from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise
from stream_app.training.job import prepare
from tests.contract.worlds import BAR_MS, SETTINGS, START_MS, random_walk

NOISE = KalmanNoise(q_level=1e-6, q_velocity=1e-8, r=1e-7)


def started(price: float = 10.0, ts: int = START_MS) -> KalmanFilter:
    kalman = KalmanFilter()
    kalman.update(price, ts, NOISE, BAR_MS)
    return kalman


def test_the_first_tick_sets_the_level() -> None:
    kalman = started(10.5)
    assert (kalman.level, kalman.velocity, kalman.innovation) == (10.5, 0.0, 0.0)
    assert (kalman.p00, kalman.p01, kalman.p11) == (1e-7, 0.0, 1e-6 + 1e-8)
    assert kalman.last_ts == START_MS


def test_one_step_by_hand() -> None:
    kalman = started()
    kalman.update(10.01, START_MS + 2 * BAR_MS, NOISE, BAR_MS)
    p11 = 1.01e-6
    p00 = 1e-7 + 4 * p11 + 2 * 1e-6 + 8e-8 / 3
    p01 = 2 * p11 + 4e-8 / 2
    s = p00 + 1e-7
    assert kalman.level == pytest.approx(10 + 0.01 * p00 / s, rel=1e-14)
    assert kalman.velocity == pytest.approx(0.01 * p01 / s, rel=1e-12)
    assert kalman.p00 == pytest.approx(p00 - p00 * p00 / s, rel=1e-9)
    assert kalman.p01 == pytest.approx(p01 - p00 * p01 / s, rel=1e-9)
    assert kalman.p11 == pytest.approx(p11 + 2e-8 - p01 * p01 / s, rel=1e-9)
    assert kalman.innovation == pytest.approx(0.01 / math.sqrt(s), rel=1e-12)
    assert kalman.innovation_variance == pytest.approx(s, rel=1e-12)


def test_a_tick_that_is_not_newer_takes_no_step_in_time() -> None:
    same, older = started(), started()
    for kalman in (same, older):
        kalman.update(10.001, START_MS + BAR_MS, NOISE, BAR_MS)
    same.update(10.002, START_MS + BAR_MS, NOISE, BAR_MS)
    older.update(10.002, START_MS, NOISE, BAR_MS)
    assert older.to_state() == same.to_state()
    assert older.last_ts == START_MS + BAR_MS


def test_a_long_gap_counts_as_twelve_bars() -> None:
    long, twelve = started(), started()
    long.update(10.1, START_MS + 5000 * BAR_MS, NOISE, BAR_MS)
    twelve.update(10.1, START_MS + 12 * BAR_MS, NOISE, BAR_MS)
    assert long.last_ts == START_MS + 5000 * BAR_MS
    assert long.to_state() | {"last_ts": 0} == twelve.to_state() | {"last_ts": 0}


def measure(kalman: KalmanFilter, price: float, ts: int, limit: float = math.inf) -> bool:
    kalman.rewind(ts - ts % BAR_MS)
    return kalman.update(price, ts, NOISE, BAR_MS, limit)


def two_bars() -> KalmanFilter:
    """A filter after the ticks of two bars, the last one in the middle of the second."""
    kalman = KalmanFilter()
    for price, bars in ((10.0, 0.0), (10.001, 0.5), (10.002, 1.0), (10.004, 1.5)):
        measure(kalman, price, START_MS + int(bars * BAR_MS))
    return kalman


def test_a_bar_is_one_measurement_however_many_ticks_it_has() -> None:
    many, one = KalmanFilter(), KalmanFilter()
    bars = [(10.0, 10.02, 9.99, 10.01), (10.01, 10.01, 9.97, 9.98), (9.98, 10.05, 9.98, 10.04)]
    for number, (opened, high, low, close) in enumerate(bars):
        start = START_MS + number * BAR_MS
        for price, ts in (
            (opened, start),
            (low, start + BAR_MS - 3),
            (high, start + BAR_MS - 2),
            (close, start + BAR_MS - 1),
        ):
            measure(many, price, ts)
        one.update(close, start + BAR_MS - 1, NOISE, BAR_MS)
        assert many.to_state() == one.to_state()


def test_after_a_jump_the_rest_of_the_bar_is_measured_from_its_price() -> None:
    kalman = two_bars()
    velocity = kalman.before[1]
    ts = START_MS + BAR_MS + BAR_MS * 3 // 5
    assert measure(kalman, 11.0, ts, 0.1)
    assert (kalman.level, kalman.velocity, kalman.innovation) == (11.0, velocity, 0.0)
    assert not measure(kalman, 11.001, ts + 1, 0.1)
    assert kalman.level == pytest.approx(11.0, abs=1.1e-3)
    assert measure(kalman, 10.004, ts + 2, 0.1)
    assert kalman.level == 10.004


def test_a_filter_in_the_middle_of_a_bar_can_be_restored() -> None:
    kalman = two_bars()
    restored = KalmanFilter.from_state(kalman.to_state(), kalman.before)
    old = KalmanFilter.from_state(kalman.to_state())  # of when nothing was kept of before the bar
    for each in (kalman, restored, old):
        measure(each, 10.003, START_MS + 2 * BAR_MS - 1)
    assert restored.to_state() == kalman.to_state()
    assert restored.before == kalman.before
    assert old.level == pytest.approx(kalman.level, abs=1e-3)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ((10.0, 0.0), "must be the numbers"),
        ((10.0, 0.0, math.nan, 0.0, 1e-6, 1e-13, START_MS), "must be the numbers"),
        ((10.0, 0.0, 1e-7, 0.0, 0.0, 1e-13, START_MS), "not positive definite"),
    ],
)
def test_a_broken_state_before_the_bar_is_refused(before: tuple[float, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        KalmanFilter.from_state(two_bars().to_state(), before)


@pytest.mark.parametrize("value", [0.0, -1e-9, math.nan, math.inf, 2.0])
@pytest.mark.parametrize("name", ["q_level", "q_velocity", "r"])
def test_a_noise_that_is_no_variance_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*allowed is"):
        KalmanNoise(**{name: value})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"level": math.nan}, "level is not finite"),
        ({"level": "10"}, "level is not a number"),
        ({"p01": True}, "p01 is not a number"),
        ({"p11": 0.0}, "not positive definite"),
        ({"det": -1e-20}, "not positive definite"),
        ({"extra": 1.0}, "the keys must be"),
    ],
)
def test_a_broken_snapshot_is_refused(change: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        KalmanFilter.from_state(started().to_state() | change)


def test_a_filter_before_its_first_tick_can_be_restored() -> None:
    restored = KalmanFilter.from_state(KalmanFilter().to_state())
    restored.update(10.0, START_MS, NOISE, BAR_MS)
    assert restored.to_state() == started().to_state()


def simulated(
    noise: KalmanNoise, count: int = 3000
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(4)
    velocity = np.cumsum(rng.normal(0, math.sqrt(noise.q_velocity), count))
    walk = rng.normal(0, math.sqrt(noise.q_level), count)
    level = 10 + np.cumsum(np.concatenate(([0.0], velocity[:-1])) + walk)
    times = START_MS + BAR_MS * np.arange(count, dtype=np.int64)
    return level + rng.normal(0, math.sqrt(noise.r), count), times


@pytest.mark.parametrize(
    "truth",
    [
        KalmanNoise(q_level=1e-6, q_velocity=1e-8, r=1e-6),
        KalmanNoise(q_level=1e-6, q_velocity=1e-8, r=1e-5),
        KalmanNoise(q_level=4e-8, q_velocity=1e-9, r=1e-7),
    ],
)
def test_the_likelihood_finds_the_noise_of_a_simulated_series(truth: KalmanNoise) -> None:
    found = fit_noise(*simulated(truth), BAR_MS)
    for name in ("q_level", "q_velocity", "r"):
        # Within a factor of two: what 3000 bars tell about a variance.
        assert abs(math.log(getattr(found, name) / getattr(truth, name))) < math.log(2), found


def test_the_found_noise_makes_the_innovations_standard() -> None:
    prices, times = simulated(KalmanNoise(q_level=1e-6, q_velocity=1e-8, r=1e-6))
    noise, kalman, innovations = fit_noise(prices, times, BAR_MS), KalmanFilter(), []
    for price, ts in zip(prices.tolist(), times.tolist(), strict=True):
        kalman.update(price, ts, noise, BAR_MS)
        innovations.append(kalman.innovation)
    z = np.array(innovations[1:])
    assert np.mean(z * z) == pytest.approx(1.0, abs=1e-6)
    assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 0.05


def test_odd_series_give_a_noise_too() -> None:
    times = START_MS + BAR_MS * np.arange(1000, dtype=np.int64)
    line = np.array([10 + 1e-4 * i for i in range(1000)])
    step = np.array([10.0] * 500 + [10.1] * 500)
    halted = np.where(np.arange(1000) > 500, times + 400 * BAR_MS, times)
    for prices, ts in ((line, times), (step, times), (line, halted)):
        assert isinstance(fit_noise(prices, ts, BAR_MS), KalmanNoise)


def test_a_noise_that_no_price_has_is_refused() -> None:
    times = START_MS + BAR_MS * np.arange(100, dtype=np.int64)
    with pytest.raises(TrainingError, match="no market's"):
        fit_noise(np.full(100, 10.0), times, BAR_MS)
    with pytest.raises(TrainingError, match="no market's"):
        fit_noise(np.tile([1.0, 10.0], 50), times, BAR_MS)


@pytest.fixture
def data() -> TrainingData:
    return prepare(random_walk(400), SETTINGS)


def test_a_fitted_filter_that_disagrees_with_filterpy_is_refused(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = KalmanFilter.update

    def wrong(
        self: KalmanFilter, log_price: float, ts: int, noise: KalmanNoise, bar_ms: int
    ) -> None:
        right(self, log_price, ts, noise, bar_ms)
        self.velocity += 1e-8

    monkeypatch.setattr(KalmanFilter, "update", wrong)
    with pytest.raises(TrainingError, match="filterpy differ by"):
        KalmanForecaster().fit(data, SETTINGS)


def test_only_the_newest_bars_enter_the_likelihood(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kalman_model, "LIKELIHOOD_BARS", 100)
    forecaster = KalmanForecaster()
    forecaster.fit(data, SETTINGS)
    bars = data.bars
    noise = fit_noise(bars.log_close[-100:], bars.ts_open[-100:], BAR_MS)
    level, velocity = filtered(bars, noise, BAR_MS)
    expected = (level + velocity - bars.log_close)[data.rows]
    np.testing.assert_array_equal(forecaster.predict(data, data.rows), expected)


def test_the_horizon_is_in_bars(data: TrainingData) -> None:
    settings = ModelSettings(
        bar_ms=BAR_MS,
        horizon_bars=5,
        sequence_length=8,
        lstm_layers=(8,),
        lstm_batch_size=8,
        lstm_epochs=1,
        seed=0,
    )
    forecaster = KalmanForecaster()
    forecaster.fit(data, settings)
    level, velocity = filtered(data.bars, forecaster._fitted(), BAR_MS)
    expected = (level + 5 * velocity - data.bars.log_close)[data.rows]
    np.testing.assert_array_equal(forecaster.predict(data, data.rows), expected)
