"""Long work in the event loop in pieces: other tasks run in between, and come first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

Pause = Callable[[], Awaitable[bool]]
"""Between two pieces of work: lets other tasks run, and returns whether to continue."""
REST: Final = 0.5
"""After a piece of work, as a share of the processor time that it took: 1,000 symbols with a month
each are warm within `arrival.ARRIVES_WITHIN_S`."""
LOOK_AGAIN_S: Final = 0.02
"""Whether what has to go first is done."""


class Rests:
    """For work that nobody waits for. Ticks wait for this thread, and for the processors."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        """Have done nothing yet.

        Args:
            is_busy: whether ticks wait for a change of the group or a restore in this worker.
        """
        self._is_busy = is_busy
        self._worked_s = 0.0
        """Of the processor, by this thread, when the last piece of work began."""

    def begin(self) -> None:
        """The first piece of work begins."""
        self._worked_s = time.thread_time()

    async def rest(self, is_wanted: Callable[[], bool]) -> bool:
        """Rest after a piece of work, and stand still while the worker has to hurry.

        Args:
            is_wanted: whether the work still is.

        Returns:
            The same at the end of the rest.
        """
        rest_s = REST * (time.thread_time() - self._worked_s)
        while is_wanted():
            await asyncio.sleep(rest_s)
            if not self._is_busy():
                self._worked_s = time.thread_time()
                return True
            rest_s = LOOK_AGAIN_S
        await asyncio.sleep(0)
        return False
