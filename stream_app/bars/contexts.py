"""What the bars before a bar say about it, computed once when the bar opens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import (
    CONTEXT,
    FEATURES,
    HIGHS,
    LOOKBACK,
    LOWS,
    MEAN_SPANS,
    MEANS,
    RANGE_SPANS,
    RETURN_SPANS,
    SQUARES,
    SUMS,
    VOLATILITY_SPANS,
    BarColumns,
    FloatArray,
    vectors,
)
from stream_app.compiled import DOUBLE_TABLE, DOUBLES, compiled, part, types


def contexts(
    log_close: FloatArray, log_high: FloatArray, log_low: FloatArray
) -> NDArray[np.float64]:
    """What the bars before each bar say about it.

    Args:
        log_close: shape (N,), N >= LOOKBACK, of consecutive bars without jumps, oldest first.
        log_high: shape (N,).
        log_low: shape (N,).

    Returns:
        Shape (N - LOOKBACK + 1, CONTEXT). Row r is the context of the bar that follows bar
        r + LOOKBACK - 1; the last row is that of the bar now forming.
    """
    out = np.empty((len(log_close) - LOOKBACK + 1, CONTEXT))
    close, high, low = (np.ascontiguousarray(each) for each in (log_close, log_high, log_low))
    _fill_contexts(close, high, low, out)
    return out


@part
def _total(values: FloatArray, count: int) -> float:
    """The sum of the first so many, with the rounding of numpy's: by eights, then in pairs."""
    total, done = 0.0, 0
    if count >= 8:
        parts = values[:8].copy()
        done = count - count % 8
        for at in range(8, done, 8):
            for i in range(8):
                parts[i] += values[at + i]
        left = (parts[0] + parts[1]) + (parts[2] + parts[3])
        total = left + ((parts[4] + parts[5]) + (parts[6] + parts[7]))
    for i in range(done, count):
        total += values[i]
    return 0.0 + total


@compiled(types.void(DOUBLES, DOUBLES, DOUBLES, DOUBLE_TABLE))
def _fill_contexts(
    log_close: FloatArray, log_high: FloatArray, log_low: FloatArray, out: FloatArray
) -> None:
    """The arithmetic of `contexts`, into `out`."""
    steps, squares, gaps = np.empty(LOOKBACK), np.empty(LOOKBACK), np.empty(LOOKBACK)
    for r in range(len(out)):
        end = r + LOOKBACK
        row, last = out[r], log_close[end - 1]
        for at, span in enumerate(RETURN_SPANS):
            row[at] = log_close[end - span]
        # A span of n returns ends in the forming bar's own, so n - 1 of them are known here.
        for at, span in enumerate(VOLATILITY_SPANS):
            for i in range(span - 1):
                step = log_close[end - span + 1 + i] - log_close[end - span + i]
                steps[i], squares[i] = step, step * step
            row[SUMS + at] = _total(steps, span - 1)
            row[SQUARES + at] = _total(squares, span - 1)
        for at, span in enumerate(MEAN_SPANS):
            # Relative to the last close: the sum of small numbers keeps its digits.
            for i in range(span - 1):
                gaps[i] = log_close[end - span + 1 + i] - last
            row[MEANS + at] = _total(gaps, span - 1)
        for at, span in enumerate(RANGE_SPANS):
            row[HIGHS + at] = log_high[end - span + 1 : end].max()
            row[LOWS + at] = log_low[end - span + 1 : end].min()


def bar_vectors(bars: BarColumns) -> NDArray[np.float32]:
    """The feature vector at the last tick of each bar that has LOOKBACK bars before it.

    Jumps are taken out as the bars' `log_jump` says: as they were found when the bars closed.

    Returns:
        Shape (max(0, N - LOOKBACK), FEATURES): row r belongs to bar r + LOOKBACK.
    """
    if len(bars) <= LOOKBACK:
        return np.empty((0, FEATURES), dtype=np.float32)
    bars = bars.without_jumps()
    context = contexts(bars.log_close[:-1], bars.log_high[:-1], bars.log_low[:-1])
    moments = np.array(
        [
            bars.log_close[LOOKBACK:],
            bars.log_high[LOOKBACK:],
            bars.log_low[LOOKBACK:],
            bars.kalman_velocity[LOOKBACK:],
            bars.kalman_innovation[LOOKBACK:],
            np.full(len(bars) - LOOKBACK, np.inf),
        ]
    )
    return vectors(context, np.ascontiguousarray(bars.ts_last[LOOKBACK:]), moments)
