"""The variance of a mean of autocorrelated values. `chance.py` has it as machine code.

Its own module, so that a process that works it out now and then does without a compiler.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bartlett_variance(values: NDArray[np.float64], lag: int) -> float:
    """The variance of sqrt(N) times the mean, with Bartlett's weights up to `lag`.

    g0 + 2 sum over k of (1 - k / (lag + 1)) gk, which is never negative.

    Args:
        values: shape (N,), in order of time, N above 0.
        lag: 0 or more; capped at N - 1.
    """
    count = len(values)
    mean = 0.0
    for value in values:
        mean += value
    mean /= count
    total = 0.0
    for k in range(min(lag, count - 1) + 1):
        alike = 0.0
        for i in range(k, count):
            alike += (values[i] - mean) * (values[i - k] - mean)
        total += alike if k == 0 else 2.0 * (1.0 - k / (lag + 1.0)) * alike
    return max(total / count, 0.0)
