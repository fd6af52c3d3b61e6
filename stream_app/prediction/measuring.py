"""A bar's latest tick, measured by the filter."""

from __future__ import annotations

import math
from typing import Any

from stream_app.bars.jumps import JUMP, believed
from stream_app.bars.open_bar import BAR, OpenBar
from stream_app.compiled import compiled, records_of, types
from stream_app.messages.schemas import Tick
from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise
from stream_app.models.kalman_recursion import FILTER, measured, rewind, take


def measure(  # noqa: PLR0917 - once a tick, and keywords cost
    bar: OpenBar,
    kalman: KalmanFilter,
    tick: Tick,
    noise: KalmanNoise,
    bar_ms: int,
    usual_move: float,
) -> float:
    """Measure a bar again after its latest tick; see `KalmanFilter.rewind`.

    Args:
        bar: which; it notes what the filter says.
        kalman: the filter; changed, unless it has taken a later tick.
        tick: the bar's latest.
        noise: the filter runs with it.
        bar_ms: length of a bar.
        usual_move: as of `Limits`.

    Returns:
        The log return by which the price jumped, or 0.
    """
    variances = noise.q_level, noise.q_velocity, noise.r
    jump: float = _measure(
        kalman.numbers, bar.numbers, tick.ts, tick.price, *variances, bar_ms, usual_move
    )
    return jump


@compiled(
    types.float64(
        *(records_of(FILTER), records_of(BAR), types.int64),
        *(4 * (types.float64,)),
        *(types.int64, types.float64),
    )
)
def _measure(  # noqa: PLR0917 - a compiled function takes no keywords
    filters: Any,
    bars: Any,
    ts: int,
    price: float,
    q_level: float,
    q_velocity: float,
    r: float,
    bar_ms: int,
    usual_move: float,
) -> float:
    """The arithmetic of `measure`."""
    kalman, bar = filters[0], bars[0]
    jump = 0.0
    if ts >= kalman.now.last_ts:
        log_price, level = math.log(price), kalman.now.level
        rewind(kalman, bar.ts_open)
        passed = (ts - kalman.now.last_ts) / bar_ms
        limit = believed(usual_move, max(passed, 1.0), JUMP)
        found = measured(kalman.now, log_price, ts, q_level, q_velocity, r, bar_ms, limit)
        take(kalman, found, ts)
        if found[8]:
            jump = log_price - level
    bar.kalman_velocity, bar.kalman_innovation = kalman.now.velocity, kalman.innovation
    return jump
