"""The local linear trend as a scalar recursion: records, and compiled steps that change them.

State [level, velocity] of the log price p; dt in bars since the last measurement:

    level'    = level + velocity dt + w,   velocity' = velocity + v,   p = level + e,  var(e) = r
    cov(w, v) = [[q_level dt + q_velocity dt^3/3,  q_velocity dt^2/2],
                 [q_velocity dt^2/2,               q_velocity dt   ]]

Durbin & Koopman (2012), Time Series Analysis by State Space Methods, 2nd ed., section 3.2.1;
in continuous time Harvey (1989), Forecasting, Structural Time Series Models and the Kalman
Filter, section 9.1. `kalman_reference.py` compares the recursion with filterpy's matrices.

A bar is one measurement. The noise is learned from closes, so r is the error of one close; ticks
of the same moment (a low, a high and a close of a bar from a file) are no independent readings of
the price, and a filter that takes them for such answers their mean. So a tick is the forming bar's
close so far: `rewind` goes back to the state after the bar before.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from stream_app.compiled import compiled, part, records_of, types

MAX_GAP_BARS: Final = 12.0
"""A longer gap counts as this many bars. The price in a gap is unknown (a halted market, a feed
that was down), and the variance grows with the cube of dt. Without a limit, one night would erase
the velocity and make the next innovation small, whatever the price did."""
STATE: Final = np.dtype(
    [
        ("level", np.float64),
        ("velocity", np.float64),
        ("p00", np.float64),
        ("p01", np.float64),
        ("p11", np.float64),
        ("det", np.float64),
        ("last_ts", np.int64),
    ]
)
"""What a measurement starts from."""
FILTER: Final = np.dtype(
    [
        ("now", STATE),
        ("innovation", np.float64),
        ("innovation_variance", np.float64),
        ("before", STATE),
    ]
)
"""A filter: the state after the last tick, and the one after the bar before that tick's bar."""


@part
def measured(  # noqa: PLR0917 - a compiled function takes no keywords
    state: Any,
    log_price: float,
    ts: int,
    q_level: float,
    q_velocity: float,
    r: float,
    bar_ms: int,
    limit: float,
) -> tuple[float, float, float, float, float, float, float, float, bool]:
    """The recursion: predict to `ts`, then correct by the price.

    Args:
        state: of STATE; where it starts from.
        log_price: as of `KalmanFilter.update`, as what follows.
        ts: the same.
        q_level: of the noise.
        q_velocity: the same.
        r: the same.
        bar_ms: as of `update`.
        limit: the same.

    Returns:
        Level, velocity, p00, p01, p11, det, innovation and innovation variance after it, and
        whether the price jumped.
    """
    level, velocity = state.level, state.velocity
    p00, p01, p11, det = state.p00, state.p01, state.p11, state.det
    last_ts = state.last_ts
    if last_ts < 0:
        p11 = q_level + q_velocity
        return log_price, 0.0, r, 0.0, p11, r * p11, 0.0, r, False
    gap = ts - last_ts
    if gap > 0:
        dt = min(gap / bar_ms, MAX_GAP_BARS)
        level += velocity * dt
        q_step = q_velocity * dt
        q_walk = q_level * dt
        dt_p11 = dt * p11
        # det(F P F' + Q), expanded. det F = 1, and p01 >= 0 at every step, so each term is
        # positive.
        det += (
            q_walk * p11
            + q_step * (p00 + dt * (p01 + dt_p11 / 3.0))
            + q_step * (q_walk + q_step * dt * dt / 12.0)
        )
        p00 += dt * (p01 + p01 + dt_p11) + q_walk + q_step * dt * dt / 3.0
        p01 += dt_p11 + q_step * dt * 0.5
        p11 += q_step
    s = p00 + r
    y = log_price - level
    if abs(y) > limit:
        return log_price, velocity, p00, p01, p11, det, 0.0, s, True
    keep = r / s
    return (
        level + y * (p00 / s),
        velocity + y * (p01 / s),
        p00 * keep,
        p01 * keep,
        (p11 * r + det) / s,
        det * keep,
        y / math.sqrt(s),
        s,
        False,
    )


@part
def take(kalman: Any, found: tuple[Any, ...], ts: int) -> None:
    """Change a filter, of FILTER, into what `measured` found at a tick of that time."""
    now = kalman.now
    now.level, now.velocity = found[0], found[1]
    now.p00, now.p01, now.p11, now.det = found[2], found[3], found[4], found[5]
    kalman.innovation, kalman.innovation_variance = found[6], found[7]
    now.last_ts = max(now.last_ts, ts)
    if found[8]:
        kalman.before = now


@compiled(
    types.boolean(
        records_of(FILTER),
        types.float64,
        types.int64,
        *3 * (types.float64,),
        types.int64,
        types.float64,
    )
)
def update(  # noqa: PLR0917 - a compiled function takes no keywords
    filters: Any,
    log_price: float,
    ts: int,
    q_level: float,
    q_velocity: float,
    r: float,
    bar_ms: int,
    limit: float,
) -> bool:
    """`KalmanFilter.update`, of an array of one filter."""
    found = measured(filters[0].now, log_price, ts, q_level, q_velocity, r, bar_ms, limit)
    take(filters[0], found, ts)
    return found[8]


@part
def rewind(kalman: Any, ts_open: int) -> None:
    """`KalmanFilter.rewind`, of a filter of FILTER."""
    if kalman.now.last_ts < ts_open:
        kalman.before = kalman.now
    else:
        kalman.now = kalman.before


@compiled(types.void(records_of(FILTER), types.int64))
def rewind_alone(filters: Any, ts_open: int) -> None:
    """`KalmanFilter.rewind`, of an array of one filter."""
    rewind(filters[0], ts_open)
