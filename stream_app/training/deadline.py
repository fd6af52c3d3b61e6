"""The time that the jobs of a turn have, from when the first of them begins in a process."""

from __future__ import annotations

import asyncio


class Deadline:
    """The time that one symbol's jobs have. The tasks of the jobs report their start to it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = False
        self.limit = asyncio.timeout(seconds)

    def job_begins(self) -> None:
        """Count from now on, if this is the first job."""
        if not self._begun and not self.limit.expired():
            self._begun = True
            self.limit.reschedule(asyncio.get_running_loop().time() + self._seconds)

    def missed(self) -> str:
        """What was not done in time."""
        what = "not done" if self._begun else "no training process was ready"
        return f"{what} in {self._seconds:g} s"
