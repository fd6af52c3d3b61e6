"""The same filter in filterpy's matrices, as the reference for the scalar recursion.

A property test compares the two over random ticks. Every training compares them over the newest
bars with the noise that it found, so a wrong recursion is never promoted.
"""

# The worker imports this module, so functions that train import their libraries themselves.

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise
from stream_app.models.kalman_recursion import MAX_GAP_BARS

if TYPE_CHECKING:
    import filterpy.kalman


def reference_filter(noise: KalmanNoise, log_price: float) -> filterpy.kalman.KalmanFilter:
    """A filterpy filter in the state after a first tick at `log_price`."""
    from filterpy.kalman import KalmanFilter as ReferenceFilter

    reference = ReferenceFilter(dim_x=2, dim_z=1)
    reference.x = np.array([[log_price], [0.0]])
    reference.P = np.diag([noise.r, noise.q_level + noise.q_velocity])
    reference.H = np.array([[1.0, 0.0]])
    reference.R = np.array([[noise.r]])
    return reference


def reference_step(
    reference: filterpy.kalman.KalmanFilter, log_price: float, dt: float, noise: KalmanNoise
) -> None:
    """Predict over `dt` bars and correct by the price."""
    from filterpy.common import Q_continuous_white_noise

    q = Q_continuous_white_noise(dim=2, dt=dt, spectral_density=noise.q_velocity)
    q[0, 0] += noise.q_level * dt
    reference.predict(F=np.array([[1.0, dt], [0.0, 1.0]]), Q=q)
    reference.update(log_price)


def largest_difference(
    noise: KalmanNoise, log_price: NDArray[np.float64], ts: NDArray[np.int64], bar_ms: int
) -> float:
    """The largest difference between the recursion and filterpy over these ticks.

    Args:
        noise: for both filters.
        log_price: shape (N,).
        ts: shape (N,), epoch milliseconds.
        bar_ms: length of a bar in milliseconds.

    Returns:
        For level and velocity in log units, for each entry of the covariance relative to
        filterpy's.
    """
    scalar = KalmanFilter()
    scalar.update(float(log_price[0]), int(ts[0]), noise, bar_ms)
    reference = reference_filter(noise, float(log_price[0]))
    worst = 0.0
    for price, moment in zip(log_price[1:].tolist(), ts[1:].tolist(), strict=True):
        dt = min(max((moment - scalar.last_ts) / bar_ms, 0.0), MAX_GAP_BARS)
        scalar.update(price, moment, noise, bar_ms)
        reference_step(reference, price, dt, noise)
        level, velocity = reference.x.ravel()
        covariance = np.array([[scalar.p00, scalar.p01], [scalar.p01, scalar.p11]])
        # p01 is zero until time has passed; measured on the scale of the variances beside it.
        scale = np.sqrt(np.outer(np.diag(reference.P), np.diag(reference.P)))
        worst = max(
            worst,
            abs(scalar.level - level),
            abs(scalar.velocity - velocity),
            float(np.max(np.abs(covariance - reference.P) / scale)),
        )
    return worst
