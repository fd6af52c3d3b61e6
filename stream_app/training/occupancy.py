"""For how long each turn keeps the pool busy, where turns overlap. Pure."""

from __future__ import annotations


class Occupancy:
    """Shares the time in which turns run among them, in the order in which they end.

    >>> pool = Occupancy()
    >>> pool.begins(10.0)
    >>> pool.begins(12.0)
    >>> pool.ends(14.0), pool.ends(17.0)
    (4.0, 3.0)
    >>> pool.begins(90.0)
    >>> pool.ends(93.0)
    3.0
    """

    def __init__(self) -> None:
        self._running = 0
        self._since_s = 0.0
        """When the last turn ended, or the first of those that run began."""

    def begins(self, now_s: float) -> None:
        """Note that a turn begins."""
        if not self._running:
            self._since_s = now_s
        self._running += 1

    def ends(self, now_s: float) -> float:
        """Note that a turn ends; how many seconds of the pool are its own."""
        seconds, self._since_s = now_s - self._since_s, now_s
        self._running -= 1
        return seconds
