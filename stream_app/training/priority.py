"""Predictions first, and the target second: when training gets more of the cores. Pure."""

from __future__ import annotations

from typing import Final

YIELDING: Final = 10
"""How much nicer than the worker a training process is while there is time. On a busy core it then
gets a tenth of what a process of the worker's rank gets."""
CALM: Final = 1 / 6
"""Share of a turn's time until which its processes yield: 7.5 of 45 s. A month of five-minute bars
takes 3 to 7 s on cores that are free."""
URGENT: Final = 1 / 2
"""Share of a turn's time from which they rank with the worker. Not above it: predictions go first.

With one busy process beside it on each core, a turn gets 10 % of a core at first, about 25 % on the
way and 50 % in the second half: within 45 s, 16 s of processor time. A month of five-minute bars
takes 5 to 8 s of it."""


def niceness(gone_s: float, available_s: float) -> int:
    """How much nicer than the worker the processes are that run a turn.

    >>> [niceness(gone_s, 45.0) for gone_s in (0.0, 7.5, 15.0, 22.5, 60.0)]
    [10, 10, 5, 0, 0]

    Args:
        gone_s: since the turn began.
        available_s: from its beginning to the cycle's target; not above 0 where that is over.
    """
    late_s = gone_s - CALM * available_s
    if late_s <= 0 < available_s:
        return YIELDING
    if gone_s >= URGENT * available_s:
        return 0
    return YIELDING - round(YIELDING * late_s / ((URGENT - CALM) * available_s))


class Urgency:
    """Knows the turns that run, and what the most urgent of them asks for."""

    def __init__(self) -> None:
        self._turns: dict[str, tuple[float, float]] = {}
        """By symbol: when it began, and when it should be over; monotonic, seconds."""

    def begins(self, symbol: str, now_s: float, due_s: float) -> None:
        """Note that a symbol's turn begins."""
        self._turns[symbol] = now_s, due_s

    def ends(self, symbol: str) -> bool:
        """Note that it needs no more time; False where that was noted before."""
        return self._turns.pop(symbol, None) is not None

    def niceness(self, now_s: float) -> int:
        """What all training processes get: they share the turns."""
        return min(
            (niceness(now_s - began_s, due_s - began_s) for began_s, due_s in self._turns.values()),
            default=YIELDING,
        )
