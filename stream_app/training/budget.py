"""How many symbols a cycle takes on: those that are done within the target."""

from __future__ import annotations

from collections import deque
from typing import Final

REMEMBERED: Final = 8
"""How many of the last trainings count. A few, because the load of the machine changes."""
OUTLIERS: Final = 2
"""How many of these, the longest, do not count. A symbol whose process is replaced takes much
longer, and would end the next cycles early."""


class Budget:
    """Knows how long a symbol took in the last trainings, of earlier cycles too."""

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        """Note how long a symbol took, from its turn's begin until its version was written."""
        self._seconds.append(seconds)

    def has_room(self, elapsed_s: float) -> bool:
        """Whether a symbol that begins now is expected to be done within the target.

        It is expected to take as long as the longest of the last trainings that is no outlier.
        Before the first one is done, nothing is known and there is room until the target.

        >>> budget = Budget(target_s=45.0)
        >>> budget.note(4.0)
        >>> budget.has_room(40.0), budget.has_room(42.0)
        (True, False)
        >>> for seconds in (20.0, 25.0, 3.5):
        ...     budget.note(seconds)
        >>> budget.has_room(40.0), budget.has_room(42.0)
        (True, False)

        Args:
            elapsed_s: since the cycle began.
        """
        usual = sorted(self._seconds)[: max(1, len(self._seconds) - OUTLIERS)]
        return elapsed_s + max(usual, default=0.0) <= self._target_s
