"""How long a symbol's turn takes: a retrain's models serve so much later."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from typing import Final

from stream_app.models.catalog import CATALOG

STEP_MS: Final = 10_000
"""A measured latency is rounded up to a multiple: two measurements of one machine differ, and a
backtest that is run again shall say the same."""


def turn_seconds(seconds: Mapping[str, float], processes: int) -> float:
    """The wall time of one turn whose jobs take the processes as they get free, longest first.

    >>> turn_seconds({"lstm": 5.0, "random_forest": 2.0, "lightgbm": 1.5, "kalman": 1.0}, 2)
    5.0
    >>> turn_seconds({"lstm": 5.0, "random_forest": 2.0, "lightgbm": 1.5, "kalman": 1.0}, 1)
    9.5

    Args:
        seconds: by model, of its job alone.
        processes: at least 1.
    """
    free = [0.0] * processes
    for name in sorted(seconds, key=lambda name: CATALOG[name].training_rank):
        heapq.heapreplace(free, free[0] + seconds[name])
    return max(free)


def latency_ms(seconds: Mapping[str, float], processes: int) -> int:
    """`turn_seconds` in milliseconds, rounded up to `STEP_MS`.

    >>> latency_ms({"lstm": 12.1, "kalman": 1.0}, 2)
    20000
    """
    return math.ceil(turn_seconds(seconds, processes) * 1000 / STEP_MS) * STEP_MS
