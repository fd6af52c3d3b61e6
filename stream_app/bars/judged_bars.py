"""Many closed bars at once, each judged by the bars before it (`jumps.py`)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import FloatArray
from stream_app.bars.jumps import JUMP, believed, usual_moves
from stream_app.compiled import DOUBLES, INTS, compiled, types

COLUMNS: Final = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "kalman_velocity",
    "kalman_innovation",
    "log_jump",
    "move",
)
GIVEN: Final = COLUMNS[:-2]
"""The columns that a bar itself has."""
HIGH, LOW, CLOSE = map(COLUMNS.index, ("high", "low", "close"))
JUMP_ROW, MOVE = len(COLUMNS) - 2, len(COLUMNS) - 1


@compiled(
    types.float64(
        INTS,
        types.float64[:, ::1],
        DOUBLES,
        types.int64,
        types.float64,
        types.int64,
        types.int64,
        types.float64,
    )
)
def judge(  # noqa: PLR0917 - compiled functions take no keywords
    ts_open: NDArray[np.int64],
    values: FloatArray,
    known: FloatArray,
    capacity: int,
    usual_before: float,
    bar_ms: int,
    ts_before: int,
    close_before: float,
) -> float:
    """The arithmetic of `ClosedBars.append_all`, as `ClosedBars._row` for one bar.

    Args:
        ts_open: shape (N,).
        values: shape (9, N); what the bars before say is filled in.
        known: moves of the bars before, the last SCALE_BARS.
        capacity: of the window.
        usual_before: the usual move before these bars.
        bar_ms: length of a bar.
        ts_before: opening time of the bar before these.
        close_before: its close; NaN without one.

    Returns:
        The usual move after these bars.
    """
    count = len(ts_open)
    steps, bars = np.zeros(count), np.ones(count)
    for at in range(count):
        before = close_before if at == 0 else values[CLOSE, at - 1]
        if not math.isnan(before):
            passed = ts_open[at] - (ts_before if at == 0 else ts_open[at - 1])
            bars[at] = max(1, passed // bar_ms)
            steps[at] = math.log(values[CLOSE, at] / before)
            values[MOVE, at] = abs(steps[at]) / math.sqrt(bars[at])
    usual = usual_moves(np.concatenate((known, values[MOVE])), len(known), capacity)
    for at in range(count):
        before = close_before if at == 0 else values[CLOSE, at - 1]
        if math.isnan(before):
            continue
        close = values[CLOSE, at]
        limit = believed(usual_before if at == 0 else usual[at - 1], bars[at], JUMP)
        if abs(steps[at]) > limit:
            values[JUMP_ROW, at] = steps[at]
            before = close
        top, bottom = max(close, before), min(close, before)
        if math.log(values[HIGH, at] / top) > limit:
            values[HIGH, at] = top
        if math.log(bottom / values[LOW, at]) > limit:
            values[LOW, at] = bottom
    return float(usual[-1])
