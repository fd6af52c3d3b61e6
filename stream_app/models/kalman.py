"""The Kalman model: the trend of `kalman_filter.py` with noise learned by maximum likelihood."""

# The worker imports this module, so functions that train import their libraries themselves.

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from stream_app.bars.features import BarColumns
from stream_app.errors import ArtifactError, TrainingError
from stream_app.models.asking import ask_alone
from stream_app.models.base import Member, ModelSettings, Rows, TrainingData
from stream_app.models.kalman_filter import NOISE_MAX, NOISE_MIN, KalmanFilter, KalmanNoise
from stream_app.models.kalman_reference import largest_difference
from stream_app.models.kernel import Kernel
from stream_app.models.training_rows import check_rows

LIKELIHOOD_BARS: Final = 3000
"""The likelihood uses this many of the newest bars: enough for three numbers, in 0.3 s."""
CHECKED_BARS: Final = 200
TOLERANCE: Final = 1e-9
VELOCITY_RATIO: Final = (math.log(1e-10), math.log(1e6))
MEASUREMENT_RATIO: Final = (math.log(1e-4), math.log(1e6))
"""Two prices of one moment differ by at least the spread. Bars alone often give r = 0, and then
every second such price would be an infinite innovation."""
START_VELOCITY: Final = (1e-8, 1e-4, 1e-2, 1.0)
START_MEASUREMENT: Final = (1e-3, 1e-1, 1e1, 1e3)
_NOISE_NAMES: Final = ("q_level", "q_velocity", "r")


class KalmanMember:
    """Extrapolates the trend over the horizon from the filter's state at the tick."""

    needs_features: ClassVar[bool] = False

    def __init__(self, noise: KalmanNoise, horizon_bars: int) -> None:
        self.noise = noise
        """The noise with which the pipeline runs the symbol's filter."""
        self.kernel = Kernel.of_trend(horizon_bars)

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Level + velocity x horizon - log price, shape (B,)."""
        return ask_alone(self.kernel, rows)


class KalmanForecaster:
    """Finds the three variances that make the newest bars most likely."""

    def __init__(self) -> None:
        self._noise: KalmanNoise | None = None
        self._bar_ms = 0
        self._horizon_bars = 0

    def fit(self, data: TrainingData, settings: ModelSettings) -> None:
        """Maximise the likelihood of the closes, then compare the filter with filterpy.

        Raises:
            TrainingError: there are too few rows, a price is not finite, the price does not move,
                or the filter differs from filterpy.
        """
        check_rows(data)
        bars = data.bars
        noise = fit_noise(
            bars.log_close[-LIKELIHOOD_BARS:], bars.ts_open[-LIKELIHOOD_BARS:], settings.bar_ms
        )
        difference = largest_difference(
            noise, bars.log_close[-CHECKED_BARS:], bars.ts_last[-CHECKED_BARS:], settings.bar_ms
        )
        if not difference <= TOLERANCE:
            raise TrainingError(f"the fitted filter and filterpy differ by {difference:g}")
        self._noise = noise
        self._bar_ms = settings.bar_ms
        self._horizon_bars = settings.horizon_bars

    def predict(self, data: TrainingData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Run the filter over all closes up to each row; log returns, shape (len(rows),)."""
        level, velocity = filtered(data.bars, self._fitted(), self._bar_ms)
        trend = level + velocity * self._horizon_bars - data.bars.log_close
        return trend[rows]

    def export(self) -> bytes:
        """The three variances as JSON."""
        noise = self._fitted()
        return orjson.dumps({name: getattr(noise, name) for name in _NOISE_NAMES})

    def _fitted(self) -> KalmanNoise:
        if self._noise is None:
            raise RuntimeError("fit before predict and export")
        return self._noise


def load_kalman(artifact: bytes, settings: ModelSettings) -> Member:
    """Load the Member from the exported JSON.

    Raises:
        ArtifactError: the bytes are not JSON, keys are missing or unknown, or a value is no
            variance.
    """
    try:
        values = orjson.loads(artifact)
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"the kalman artifact is not JSON: {error}") from None
    if not isinstance(values, dict) or set(values) != set(_NOISE_NAMES):
        raise ArtifactError(f"the kalman artifact must hold exactly {', '.join(_NOISE_NAMES)}")
    if not all(type(value) in (int, float) for value in values.values()):
        raise ArtifactError("the kalman artifact holds a value that is not a number")
    try:
        noise = KalmanNoise(**values)
    except ValueError as error:
        raise ArtifactError(f"the kalman artifact: {error}") from None
    return KalmanMember(noise, settings.horizon_bars)


def filtered(
    bars: BarColumns, noise: KalmanNoise, bar_ms: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Level and velocity after each bar's close, from a filter that starts at the first bar."""
    kalman = KalmanFilter()
    states = np.empty((2, len(bars)))
    for i, (price, ts) in enumerate(
        zip(bars.log_close.tolist(), bars.ts_last.tolist(), strict=True)
    ):
        kalman.update(price, ts, noise, bar_ms)
        states[0, i] = kalman.level
        states[1, i] = kalman.velocity
    return states[0], states[1]


def fit_noise(log_close: NDArray[np.float64], ts: NDArray[np.int64], bar_ms: int) -> KalmanNoise:
    """The most likely variances of a series of closes.

    Gaussian likelihood in innovations form with the scale concentrated out (Harvey 1989, section
    3.4.1; Durbin & Koopman 2012, section 2.10.2). So only the two ratios to q_level are searched.
    Nelder-Mead starts from the best point of a coarse grid, because the likelihood has flat regions
    and more than one maximum.

    Args:
        log_close: shape (N,), finite.
        ts: shape (N,), epoch milliseconds, increasing.
        bar_ms: length of a bar in milliseconds.

    Raises:
        TrainingError: the price does not move.
    """
    from scipy.optimize import minimize

    unit = float(np.mean(np.square(np.diff(log_close))))
    if not NOISE_MIN < unit < NOISE_MAX:
        raise TrainingError(
            f"the mean squared return is {unit:g}, which no market's prices have; check the feed"
        )
    ticks = list(zip(log_close.tolist(), ts.tolist(), strict=True))

    def run(log_ratios: Iterable[float]) -> tuple[float, KalmanNoise]:
        return _concentrated(ticks, bar_ms, unit, *log_ratios)

    starts = [(math.log(v), math.log(r)) for v in START_VELOCITY for r in START_MEASUREMENT]
    best = np.array(min(starts, key=lambda start: run(start)[0]))
    found = minimize(
        lambda log_ratios: run(log_ratios)[0],
        best,
        method="Nelder-Mead",
        bounds=[VELOCITY_RATIO, MEASUREMENT_RATIO],
        options={
            # scipy's default simplex is 5% of each coordinate, which is nothing for a log of zero.
            "initial_simplex": best + np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]]),
            "xatol": 0.02,
            "fatol": 0.01,
            "maxfev": 150,
        },
    )
    return run(found.x)[1]


def _concentrated(
    ticks: list[tuple[float, int]], bar_ms: int, unit: float, velocity: float, measurement: float
) -> tuple[float, KalmanNoise]:
    """Minus twice the log-likelihood (without constants), and the noise at its best scale."""
    shape = _scaled(unit, velocity, measurement)
    kalman = KalmanFilter()
    kalman.update(*ticks[0], shape, bar_ms)
    squares = logs = 0.0
    for price, ts in ticks[1:]:
        kalman.update(price, ts, shape, bar_ms)
        squares += kalman.innovation * kalman.innovation
        logs += math.log(kalman.innovation_variance)
    count = len(ticks) - 1
    scale = max(squares / count, 1e-12)  # a straight line leaves no innovation and no logarithm
    return count * math.log(scale) + logs, _scaled(unit * scale, velocity, measurement)


def _scaled(q_level: float, velocity: float, measurement: float) -> KalmanNoise:
    """The noise with this q_level and these log ratios to it, clipped to the allowed range."""
    variances = (q_level, q_level * math.exp(velocity), q_level * math.exp(measurement))
    return KalmanNoise(
        **{
            name: min(max(variance, NOISE_MIN), NOISE_MAX)
            for name, variance in zip(_NOISE_NAMES, variances, strict=True)
        }
    )


def noise_of(member: Member) -> KalmanNoise:
    """What the filter runs with: the noise that the member learned.

    The default noise for one that could not be trained and answers the last price.
    """
    return member.noise if isinstance(member, KalmanMember) else KalmanNoise()
