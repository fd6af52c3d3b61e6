"""How large a number is relative to its usual size, on a scale from 0 to 1. Pure."""

from __future__ import annotations

import math
from typing import Final

WARM_UP: Final = 100
"""So many values make what is usual known well enough: to a twelfth."""
MOST_VALUES: Final = 8640
"""What is usual is an average that forgets: of a month of five-minute bars."""
_LEAST: Final = 1e-12
_SCALE: Final = 1.0 / math.sqrt(math.pi)


class Usual:
    """The mean of one input so far, and each next value relative to it.

    >>> usual = Usual()
    >>> for _ in range(100):
    ...     _ = usual.take(0.3)
    >>> round(usual.take(0.3) or 0.0, 2), round(usual.take(0.9) or 0.0, 2)
    (0.58, 0.98)
    """

    __slots__ = ("_count", "_mean", "ratio")

    def __init__(self) -> None:
        self._mean = 0.0
        self._count = 0
        self.ratio = 1.0
        """The newest value over the mean of those before."""

    def take(self, value: float) -> float | None:
        """How much of what is usual lies below a value; None while too little is known.

        A normal error of this mean is smaller than the value with the answer's probability (the
        probability integral transform). So the answers are spread evenly over 0 to 1 where the
        errors are normal, and nearly so where their tails are heavier; no single one weighs much.

        Args:
            value: 0 or more.
        """
        share = None
        if self._count >= WARM_UP:
            self.ratio = value / max(self._mean, _LEAST)
            share = math.erf(self.ratio * _SCALE)
        self._count = min(self._count + 1, MOST_VALUES)
        self._mean += (value - self._mean) / self._count
        return share
