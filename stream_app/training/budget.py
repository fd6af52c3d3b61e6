"""How many symbols a cycle takes on: those that are done within the target."""

from __future__ import annotations

from collections import deque
from typing import Final

REMEMBERED: Final = 8
"""Trainings that say how long the next one takes. A few, because the machine's load changes."""


class Budget:
    """Learns from cycle to cycle how long a symbol takes."""

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        """Note how long a symbol took, from its first job's begin until its models served."""
        self._seconds.append(seconds)

    def has_room(self, elapsed_s: float) -> bool:
        """Whether a symbol that begins now is done within the target, as far as can be told.

        The longest of the last trainings decides. Before the first one is done there is room
        until the target.

        >>> budget = Budget(target_s=45.0)
        >>> budget.note(4.0)
        >>> budget.has_room(40.0), budget.has_room(42.0)
        (True, False)

        Args:
            elapsed_s: since the cycle's begin.
        """
        return elapsed_s + max(self._seconds, default=0.0) <= self._target_s
