"""Plain ticks, entered by one compiled loop: nearly all are.

A plain tick follows the one before it by no more than the grace, belongs to the newest bar, closes
no bar and is no jump. It changes the newest bar and the filter, and nothing else. The loop stops
before the first tick that is not plain; `Intake.take` enters that one. Both give the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import INNOVATION, LIMIT, LOG_HIGH, LOG_LOW, LOG_PRICE, VELOCITY
from stream_app.bars.jumps import JUMP, believed
from stream_app.bars.open_bars import OpenBar, bar_with
from stream_app.compiled import DOUBLES, INTS, compiled, types
from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise, measured
from stream_app.prediction.observation import FAR, LEVEL, NO_BAR, PRICE, Seen

FloatArray = NDArray[np.float64]
Ints = NDArray[np.int64]

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = range(5)
_FILTER = 5
"""Level, velocity, p00, p01, p11, det, innovation and its variance."""
_BEFORE = 13
"""The first six of these, before the bar."""
_Q_LEVEL, _Q_VELOCITY, _R = range(19, 22)
_USUAL_MOVE, _LIMIT, _FAR, _LOG_BEFORE = range(22, 26)
_TS_OPEN, _TS_FIRST, _TS_LAST, _TICKS, _NEWEST, _FILTERED, _BEFORE_TS, _OLDEST = range(8)
_BAR_MS, _GRACE_MS, _LATEST = range(8, 11)
"""The last counts the ticks that are the latest of their bar."""
_Table: Final = types.float64[:, ::1]


class Limits(NamedTuple):
    """What is believed of the ticks of one bar."""

    usual_move: float
    """Of one bar, a log return; NaN while it is unknown."""
    step: float
    """The largest step since the last close, a log return."""
    far: float
    """The largest log return of a model."""
    log_before: float
    """The last close; NaN where there is none."""


class PlainTicks:
    """Ticks of a batch as the loop takes them: parallel arrays of length B."""

    def __init__(self, seen: Seen, price: Sequence[float], size: Sequence[float | None]) -> None:
        self._seen = seen
        self._price = np.array(price)
        self._size = np.array([each or 0.0 for each in size])

    def enter(
        self,
        start: int,
        stop: int,
        *,
        bar: OpenBar,
        oldest_ts: int,
        newest_ts: int,
        kalman: KalmanFilter,
        noise: KalmanNoise,
        limits: Limits,
        bar_ms: int,
        grace_ms: int,
    ) -> int:
        """Enter ticks of one symbol up to the first that is not plain.

        Args:
            start: the place of the first.
            stop: where to stop at the latest.
            bar: the newest; changed in place.
            oldest_ts: opening time of the oldest open bar.
            newest_ts: the newest event time.
            kalman: has taken a tick of this bar; changed in place.
            noise: with which it runs.
            limits: what is believed.
            bar_ms: length of a bar.
            grace_ms: how far a plain tick may be after the one before.

        Returns:
            The place of the first that is not entered.
        """
        before = kalman.before
        floats = np.array(
            [
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                bar.volume,
                kalman.level,
                kalman.velocity,
                kalman.p00,
                kalman.p01,
                kalman.p11,
                kalman.det,
                kalman.innovation,
                kalman.innovation_variance,
                *before[:-1],
                noise.q_level,
                noise.q_velocity,
                noise.r,
                *limits,
            ]
        )
        ints = np.array(
            [
                bar.ts_open,
                bar.ts_first,
                bar.ts_last,
                bar.ticks,
                newest_ts,
                kalman.last_ts,
                int(before[-1]),
                oldest_ts,
                bar_ms,
                grace_ms,
                0,
            ]
        )
        seen = self._seen
        done = int(
            _enter(
                floats, ints, start, stop, seen.ts, self._price, self._size, seen.moments, seen.bars
            )
        )
        if done > start:
            bar.open, bar.high, bar.low, bar.close, bar.volume = floats[:_FILTER].tolist()
            (
                kalman.level,
                kalman.velocity,
                kalman.p00,
                kalman.p01,
                kalman.p11,
                kalman.det,
                kalman.innovation,
                kalman.innovation_variance,
            ) = floats[_FILTER:_BEFORE].tolist()
            _, bar.ts_first, bar.ts_last, bar.ticks, _, kalman.last_ts, *_, latest = ints.tolist()
            if latest:
                bar.kalman_velocity, bar.kalman_innovation = kalman.velocity, kalman.innovation
        return done


@compiled(
    types.int64(DOUBLES, INTS, types.int64, types.int64, INTS, DOUBLES, DOUBLES, _Table, INTS)
)
def _enter(  # noqa: PLR0917 - a compiled loop takes no keywords
    floats: FloatArray,
    ints: Ints,
    start: int,
    stop: int,
    ts: Ints,
    price: FloatArray,
    size: FloatArray,
    moments: FloatArray,
    bars: Ints,
) -> int:
    """The loop of `PlainTicks.enter`.

    Args:
        floats: the symbol's numbers as named above; changed in place.
        ints: the same of whole ones.
        start: the first place.
        stop: the place after the last.
        ts: event times, shape (B,).
        price: shape (B,).
        size: 0 where there is none, shape (B,).
        moments: `Seen.moments`, filled in.
        bars: `Seen.bars`, filled in.
    """
    ts_open, bar_ms, grace_ms = ints[_TS_OPEN], ints[_BAR_MS], ints[_GRACE_MS]
    before = floats[_BEFORE:_Q_LEVEL]
    for at in range(start, stop):
        now, newest = ts[at], ints[_NEWEST]
        follows = 0 <= now - newest <= grace_ms and now - ts_open < bar_ms
        if not follows or ints[_OLDEST] + bar_ms <= now - grace_ms:
            return at
        first, high, low, close, volume, ts_first, ts_last, is_latest = bar_with(
            floats[_OPEN],
            floats[_HIGH],
            floats[_LOW],
            floats[_CLOSE],
            floats[_VOLUME],
            ints[_TS_FIRST],
            ints[_TS_LAST],
            now,
            price[at],
            size[at],
        )
        log_close = math.log(close)
        if abs(log_close - floats[_LOG_BEFORE]) > floats[_LIMIT]:
            return at
        if is_latest:
            # The bar is measured anew from the state before it; see `KalmanFilter.rewind`.
            passed = (now - ints[_BEFORE_TS]) / bar_ms
            found = measured(
                before[0],
                before[1],
                before[2],
                before[3],
                before[4],
                before[5],
                ints[_BEFORE_TS],
                log_close,
                now,
                floats[_Q_LEVEL],
                floats[_Q_VELOCITY],
                floats[_R],
                bar_ms,
                believed(floats[_USUAL_MOVE], max(passed, 1.0), JUMP),
            )
            if found[8]:
                return at
            for i, value in enumerate(found[:8]):
                floats[_FILTER + i] = value
            ints[_FILTERED] = now
            ints[_LATEST] += 1
        floats[_OPEN], floats[_HIGH], floats[_LOW] = first, high, low
        floats[_CLOSE], floats[_VOLUME] = close, volume
        ints[_TS_FIRST], ints[_TS_LAST], ints[_NEWEST] = ts_first, ts_last, now
        ints[_TICKS] += 1
        bars[at] = ts_open if is_latest else NO_BAR
        moments[LOG_PRICE, at] = log_close
        moments[LOG_HIGH, at] = math.log(high)
        moments[LOG_LOW, at] = math.log(low)
        moments[VELOCITY, at] = floats[_FILTER + 1]
        moments[INNOVATION, at] = floats[_FILTER + 6]
        moments[LIMIT, at] = floats[_LIMIT]
        moments[LEVEL, at] = floats[_FILTER]
        moments[PRICE, at] = close
        moments[FAR, at] = floats[_FAR]
    return stop
