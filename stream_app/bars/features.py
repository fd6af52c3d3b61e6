"""What the models see: one feature vector for each tick.

A bar still forming enters as it stands at the tick: its price so far is the close, its range so
far the range. A training row is the vector at a bar's last tick, so the same function gives both
(`tests/property/test_pipeline.py` holds them equal). Two steps keep the live path cheap: the
`context` of a bar is what the bars before it say, computed once when the bar opens; `vectors`
joins contexts with the ticks, for all ticks of a batch at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.clock import DAY_MS
from stream_app.compiled import (
    DOUBLE_TABLE,
    INT_TABLE,
    INTS,
    address_of,
    array_at,
    compiled,
    part,
    types,
)

FloatArray = NDArray[np.float64]

RETURN_SPANS: Final = (1, 2, 3, 6, 12, 24, 48)
VOLATILITY_SPANS: Final = (6, 12, 24, 48)
MEAN_SPANS: Final = (6, 12, 24, 48)
RANGE_SPANS: Final = (12, 48)
LOOKBACK: Final = 48
"""How many bars before the current one a feature vector needs."""
INNOVATION_LIMIT: Final = 8.0

FEATURE_NAMES: Final = (
    *(f"return_{n}" for n in RETURN_SPANS),
    *(f"volatility_{n}" for n in VOLATILITY_SPANS),
    *(f"mean_gap_{n}" for n in MEAN_SPANS),
    *(f"range_position_{n}" for n in RANGE_SPANS),
    "bar_range",
    "kalman_velocity",
    "kalman_innovation",
    "day_sin",
    "day_cos",
    "week_sin",
    "week_cos",
)
FEATURES: Final = len(FEATURE_NAMES)


# Where the blocks of a context's columns begin; its closes are the first.
SUMS: Final = len(RETURN_SPANS)
SQUARES: Final = SUMS + len(VOLATILITY_SPANS)
MEANS: Final = SQUARES + len(VOLATILITY_SPANS)
HIGHS: Final = MEANS + len(MEAN_SPANS)
LOWS: Final = HIGHS + len(RANGE_SPANS)
CONTEXT: Final = LOWS + len(RANGE_SPANS)
# And those of a feature vector's.
_VOLATILITIES: Final = FEATURE_NAMES.index(f"volatility_{VOLATILITY_SPANS[0]}")
_GAPS: Final = FEATURE_NAMES.index(f"mean_gap_{MEAN_SPANS[0]}")
_POSITIONS: Final = FEATURE_NAMES.index(f"range_position_{RANGE_SPANS[0]}")
_BAR_RANGE: Final = FEATURE_NAMES.index("bar_range")
_VELOCITY: Final = FEATURE_NAMES.index("kalman_velocity")
_INNOVATION: Final = FEATURE_NAMES.index("kalman_innovation")
_TIMES: Final = FEATURE_NAMES.index("day_sin")


@dataclass(frozen=True, slots=True, kw_only=True)
class BarColumns:
    """Bars as parallel arrays of length N, oldest first; prices as natural logarithms."""

    ts_open: NDArray[np.int64]
    """Epoch milliseconds."""
    ts_last: NDArray[np.int64]
    """Event time of the bar's last tick, epoch milliseconds."""
    log_close: FloatArray
    log_high: FloatArray
    log_low: FloatArray
    kalman_velocity: FloatArray
    """Log return per bar."""
    kalman_innovation: FloatArray
    """Standard deviations."""
    log_jump: FloatArray
    """The log return into the bar where it is a jump (`jumps.py`), else 0."""

    def __len__(self) -> int:
        return len(self.ts_open)

    def head(self, count: int) -> BarColumns:
        """The oldest bars, as views."""
        return self.slice(0, count)

    def slice(self, first: int, end: int) -> BarColumns:
        """The bars from `first` up to `end`, as views."""
        return BarColumns(
            **{each.name: getattr(self, each.name)[first:end] for each in fields(self)}
        )

    def without_jumps(self) -> BarColumns:
        """The same bars with the prices before each jump moved by it, so that none is left.

        The last prices stay as they are.
        """
        if not self.log_jump.any():
            return self
        passed = np.cumsum(self.log_jump)
        later = passed[-1] - passed
        return replace(
            self,
            log_close=self.log_close + later,
            log_high=self.log_high + later,
            log_low=self.log_low + later,
            log_jump=np.zeros(len(self)),
        )


LOG_PRICE, LOG_HIGH, LOG_LOW, VELOCITY, INNOVATION, LIMIT = range(6)
"""Rows of what is known at ticks beside the bars before: their log price; the highest and the
lowest of the forming bar so far; the Kalman filter's velocity and innovation; and the largest log
return since the last close that is believed."""


def vectors(context: FloatArray, ts: NDArray[np.int64], moments: FloatArray) -> NDArray[np.float32]:
    """The feature vectors at B ticks, each of a bar of its own.

    Args:
        context: shape (B, CONTEXT), each tick's row from `contexts`.
        ts: event times, shape (B,), epoch milliseconds.
        moments: what the ticks add, shape (6, B): rows LOG_PRICE to LIMIT.

    Returns:
        Shape (B, FEATURES), float32, columns as in FEATURE_NAMES. Logarithmic returns and
        volatilities are per bar, jumps left out; range positions lie in 0 to 1; times are UTC.
    """
    first, step = address_of(context), context.strides[0]
    spans = np.array([(b, b + 1, first + b * step) for b in range(len(ts))])
    out = np.empty((len(ts), FEATURES), dtype=np.float32)
    if len(ts):
        fill_vectors(spans, ts, moments, out)
    return out


@part
def _vector(
    before: FloatArray, ts: int, moments: FloatArray, b: int, out: NDArray[np.float32]
) -> None:
    """The arithmetic of one vector.

    Args:
        before: its row of `contexts`.
        ts: its event time.
        moments: as of `vectors`.
        b: its place there and in `out`.
        out: filled in.
    """
    price = moments[LOG_PRICE, b]
    high, low = moments[LOG_HIGH, b], moments[LOG_LOW, b]
    limit = moments[LIMIT, b]
    step = price - before[0]  # since the last close
    if abs(step) > limit:  # a jump: no return, the whole bar is moved back by it
        price, high, low, step = before[0], high - step, low - step, 0.0
    # A range that goes beyond the limit is one of mistaken ticks.
    if high - max(price, before[0]) > limit:
        high = max(price, before[0])
    if min(price, before[0]) - low > limit:
        low = min(price, before[0])
    for i in range(len(RETURN_SPANS)):
        out[b, i] = price - before[i]
    for i, span in enumerate(VOLATILITY_SPANS):
        mean = (before[SUMS + i] + step) / span
        square = (before[SQUARES + i] + step * step) / span
        out[b, _VOLATILITIES + i] = math.sqrt(max(square - mean * mean, 0.0))
    for i, span in enumerate(MEAN_SPANS):
        out[b, _GAPS + i] = step - (before[MEANS + i] + step) / span
    for i in range(len(RANGE_SPANS)):
        top = max(before[HIGHS + i], high)
        bottom = min(before[LOWS + i], low)
        out[b, _POSITIONS + i] = (price - bottom) / (top - bottom) if top > bottom else 0.5
    out[b, _BAR_RANGE] = high - low
    out[b, _VELOCITY] = moments[VELOCITY, b]
    innovation = moments[INNOVATION, b]
    out[b, _INNOVATION] = min(max(innovation, -INNOVATION_LIMIT), INNOVATION_LIMIT)
    for i, period_ms in enumerate((DAY_MS, 7 * DAY_MS)):
        angle = (ts % period_ms) * (2.0 * math.pi / period_ms)
        out[b, _TIMES + 2 * i] = math.sin(angle)
        out[b, _TIMES + 2 * i + 1] = math.cos(angle)


@compiled(types.void(INT_TABLE, INTS, DOUBLE_TABLE, types.float32[:, ::1]))
def fill_vectors(
    spans: NDArray[np.int64],
    ts: NDArray[np.int64],
    moments: FloatArray,
    out: NDArray[np.float32],
) -> None:
    """As `vectors`, where neighbouring ticks share a context.

    Args:
        spans: where their ticks begin and end, and the address of their row from `contexts`, which
            must be held; shape (S, 3 or more). The vectors of ticks without one, where it is 0,
            are left as they are.
        ts: as of `vectors`.
        moments: the same; more rows may follow.
        out: filled in with the vectors.
    """
    for s in range(len(spans)):
        if spans[s, 2] == 0:
            continue
        before = array_at(spans[s, 2], CONTEXT, np.float64)
        for b in range(spans[s, 0], spans[s, 1]):
            _vector(before, ts[b], moments, b, out)
