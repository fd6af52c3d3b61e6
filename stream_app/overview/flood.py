"""Distinguishes a flood of dead letters from the few that every feed has. Pure.

For the page. Prometheus has the same rule: StreamAppDeadLetterFlood in
deploy/observability/alerts.yml.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 60
"""Long enough that one bad batch among a minute of good ones is no flood."""
MIN_LETTERS: Final = 60
"""One a second. Fewer can be looked at one by one."""
MAX_SHARE: Final = 0.05
"""One symbol of twenty that is fed wrongly: a setting or a feed is broken, not a message."""
CALM: Final = 0.5
"""The flood is over below half of either bound, so that a rate at a bound does not flicker."""


class Flood:
    """On while more of the last minute's records are dead letters than both bounds allow.

    Time is that of processing, by the clock, and not event time: it is now that somebody should
    look. Lives in one thread.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds: deque[list[int]] = deque()
        """Of each second with records: which, how many records, how many dead letters."""
        self._records = 0
        self._letters = 0
        self._is_on = False

    def note(self, records: int, letters: int) -> None:
        """Count a batch: all its records, and those of them that became dead letters."""
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        self._seconds[-1][1] += records
        self._seconds[-1][2] += letters
        self._records += records
        self._letters += letters
        self.is_on()

    def is_on(self) -> bool:
        """Whether it floods now; forgets what is too old."""
        now = self._clock()
        while self._seconds and self._seconds[0][0] <= now - WINDOW_S:
            _, records, letters = self._seconds.popleft()
            self._records -= records
            self._letters -= letters
        self._is_on = self._exceeds(CALM if self._is_on else 1.0)
        return self._is_on

    def _exceeds(self, part: float) -> bool:
        """Whether both bounds, or this part of them, are exceeded."""
        return (
            self._letters > part * MIN_LETTERS and self._letters > part * MAX_SHARE * self._records
        )
