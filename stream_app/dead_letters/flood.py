"""Tells a flood of dead letters from the few that every feed has. Pure but for its log lines."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

WINDOW_S: Final = 60
"""Long enough that one bad batch among a minute of good ones is no flood."""
MIN_LETTERS: Final = 60
"""One a second. Fewer can be looked at one by one: `stream_app_dead_letters` counts them."""
MAX_SHARE: Final = 0.05
"""One symbol of twenty that is fed wrongly: a setting or a feed is broken, not a message."""
CALM: Final = 0.5
"""The alarm ends below half of either bound, so that a rate at a bound is one line in the log."""


class FloodAlarm:
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
        self._since: float | None = None

    def note(self, records: int, letters: int) -> None:
        """Count a batch: all its records, and those of them that became dead letters."""
        second = int(self._clock())
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0])
        self._seconds[-1][1] += records
        self._seconds[-1][2] += letters
        self._records += records
        self._letters += letters
        self.level()

    def level(self) -> float:
        """1 while the alarm is on, else 0, as a gauge wants it; forgets what is too old."""
        now = self._clock()
        while self._seconds and self._seconds[0][0] <= now - WINDOW_S:
            _, records, letters = self._seconds.popleft()
            self._records -= records
            self._letters -= letters
        if self._since is None and self._exceeds(1.0):
            self._since = now
            logger.warning(
                "a flood of dead letters: %d of the last minute's %d records; "
                "`stream-app dlq list` shows why",
                self._letters,
                self._records,
            )
        elif self._since is not None and not self._exceeds(CALM):
            logger.warning("the flood of dead letters is over after %.0f s", now - self._since)
            self._since = None
        return float(self._since is not None)

    def _exceeds(self, part: float) -> bool:
        """Whether both bounds, or this part of them, are exceeded."""
        return (
            self._letters > part * MIN_LETTERS and self._letters > part * MAX_SHARE * self._records
        )
