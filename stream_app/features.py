"""What the models see: one feature vector for each tick.

A bar still forming enters as it stands at the tick: its price so far is the close, its range so
far the range. A training row is the vector at a bar's last tick, so the same function gives both
(`tests/property/test_features.py` holds them equal). Two steps keep the live path cheap: the
`context` of a bar is what the bars before it say, computed once when the bar opens; `vectors`
joins contexts with the ticks, for all ticks of a batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

RETURN_SPANS: Final = (1, 2, 3, 6, 12, 24, 48)
VOLATILITY_SPANS: Final = (6, 12, 24, 48)
MEAN_SPANS: Final = (6, 12, 24, 48)
RANGE_SPANS: Final = (12, 48)
LOOKBACK: Final = 48
"""How many bars before the current one a feature vector needs."""
INNOVATION_LIMIT: Final = 8.0
DAY_MS: Final = 86_400_000

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
CONTEXT: Final = (
    len(RETURN_SPANS) + 2 * len(VOLATILITY_SPANS) + len(MEAN_SPANS) + 2 * len(RANGE_SPANS)
)


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

    def __len__(self) -> int:
        return len(self.ts_open)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is known at each of B ticks beside the bars before: parallel arrays of length B."""

    ts: NDArray[np.int64]
    log_price: FloatArray
    log_high: FloatArray
    """The highest price of the forming bar so far."""
    log_low: FloatArray
    kalman_velocity: FloatArray
    kalman_innovation: FloatArray


def contexts(
    log_close: FloatArray, log_high: FloatArray, log_low: FloatArray
) -> NDArray[np.float64]:
    """What the bars before each bar say about it.

    Args:
        log_close: shape (N,), N >= LOOKBACK, of consecutive bars, oldest first.
        log_high: shape (N,).
        log_low: shape (N,).

    Returns:
        Shape (N - LOOKBACK + 1, CONTEXT). Row r is the context of the bar that follows bar
        r + LOOKBACK - 1; the last row is that of the bar now forming.
    """
    closes = sliding_window_view(log_close, LOOKBACK)
    highs = sliding_window_view(log_high, LOOKBACK)
    lows = sliding_window_view(log_low, LOOKBACK)
    out = np.empty((len(closes), CONTEXT))
    column = 0
    for span in RETURN_SPANS:
        out[:, column] = closes[:, -span]
        column += 1
    for span in VOLATILITY_SPANS:
        # A span of n returns ends in the forming bar's own, so n - 1 of them are known here.
        steps = closes[:, -span + 1 :] - closes[:, -span:-1]
        out[:, column] = steps.sum(axis=1)
        out[:, column + 1] = np.square(steps).sum(axis=1)
        column += 2
    for span in MEAN_SPANS:
        # Relative to the last close: the sum of small numbers keeps its digits.
        out[:, column] = (closes[:, -span + 1 :] - closes[:, -1:]).sum(axis=1)
        column += 1
    for span in RANGE_SPANS:
        out[:, column] = highs[:, -span + 1 :].max(axis=1)
        out[:, column + 1] = lows[:, -span + 1 :].min(axis=1)
        column += 2
    return out


def vectors(context: FloatArray, moment: Moment) -> NDArray[np.float32]:
    """The feature vectors at B ticks.

    Args:
        context: shape (B, CONTEXT), each tick's row from `contexts`.
        moment: what the ticks add.

    Returns:
        Shape (B, FEATURES), float32, columns as in FEATURE_NAMES. Logarithmic returns and
        volatilities are per bar; range positions lie in 0 to 1; times are UTC.
    """
    out = np.empty((len(context), FEATURES), dtype=np.float32)
    price = moment.log_price
    last_close = context[:, 0]
    step = price - last_close
    source, column = 0, 0
    for _ in RETURN_SPANS:
        out[:, column] = price - context[:, source]
        source, column = source + 1, column + 1
    for span in VOLATILITY_SPANS:
        mean = (context[:, source] + step) / span
        square = (context[:, source + 1] + step * step) / span
        out[:, column] = np.sqrt(np.maximum(square - mean * mean, 0.0))
        source, column = source + 2, column + 1
    for span in MEAN_SPANS:
        out[:, column] = step - (context[:, source] + step) / span
        source, column = source + 1, column + 1
    for _ in RANGE_SPANS:
        high = np.maximum(context[:, source], moment.log_high)
        low = np.minimum(context[:, source + 1], moment.log_low)
        width = high - low
        flat = width <= 0.0
        out[:, column] = np.where(flat, 0.5, (price - low) / np.where(flat, 1.0, width))
        source, column = source + 2, column + 1
    out[:, column] = moment.log_high - moment.log_low
    out[:, column + 1] = moment.kalman_velocity
    out[:, column + 2] = np.clip(moment.kalman_innovation, -INNOVATION_LIMIT, INNOVATION_LIMIT)
    day = (moment.ts % DAY_MS) * (2.0 * np.pi / DAY_MS)
    week = (moment.ts % (7 * DAY_MS)) * (2.0 * np.pi / (7 * DAY_MS))
    out[:, column + 3] = np.sin(day)
    out[:, column + 4] = np.cos(day)
    out[:, column + 5] = np.sin(week)
    out[:, column + 6] = np.cos(week)
    return out


def bar_vectors(bars: BarColumns) -> NDArray[np.float32]:
    """The feature vector at the last tick of each bar that has LOOKBACK bars before it.

    Returns:
        Shape (max(0, N - LOOKBACK), FEATURES): row r belongs to bar r + LOOKBACK.
    """
    if len(bars) <= LOOKBACK:
        return np.empty((0, FEATURES), dtype=np.float32)
    context = contexts(bars.log_close[:-1], bars.log_high[:-1], bars.log_low[:-1])
    return vectors(
        context,
        Moment(
            ts=bars.ts_last[LOOKBACK:],
            log_price=bars.log_close[LOOKBACK:],
            log_high=bars.log_high[LOOKBACK:],
            log_low=bars.log_low[LOOKBACK:],
            kalman_velocity=bars.kalman_velocity[LOOKBACK:],
            kalman_innovation=bars.kalman_innovation[LOOKBACK:],
        ),
    )
