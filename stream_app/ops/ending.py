"""The end of a process: its parts stop in order, and what does not stop is left behind.

A part of a process that ends may hang, raise, or swallow its cancellation. None of these may keep
the process alive, or the supervisor waits forever and the partitions with it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

LEAST_S: Final = 0.2
"""What a part gets though the time is over."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that must stop before the process ends."""

    name: str
    """For the log, such as "the retrain cycle"."""
    stop: Callable[[], Awaitable[object]]


async def stop_in_order(parts: Sequence[Part], *, within_s: float) -> None:
    """Stop one part after the other; no part can keep the next one from its turn.

    What a part raises is logged. A part that is not done when the time is over is cancelled and
    left behind, and so is each part after it that does not stop at once. Called once, by the
    worker at its end.

    Args:
        parts: in the order in which they stop.
        within_s: for all of them together.
    """
    deadline = time.monotonic() + within_s
    for part in parts:
        # Not asyncio.timeout: it would wait for a part that swallows its cancellation.
        task = asyncio.ensure_future(part.stop())
        await asyncio.wait([task], timeout=max(LEAST_S, deadline - time.monotonic()))
        if not task.done():
            task.cancel()
            logger.warning("stopping %s takes too long; ending without it", part.name)
        elif task.cancelled():
            logger.warning("stopping %s was cancelled; ending without it", part.name)
        elif (error := task.exception()) is not None:
            logger.warning("stopping %s failed (%s: %s)", part.name, type(error).__name__, error)


class ForcedEnd:
    """Ends the process from a thread, whatever still holds it.

    Args:
        after_s: seconds from `arm` on. A process that ends in time never notices.
        exit_code: asked when the time is over, in the thread.
    """

    def __init__(self, after_s: float, *, exit_code: Callable[[], int]) -> None:
        self._after_s = after_s
        self._exit_code = exit_code
        self._thread = threading.Thread(target=self._wait, name="forced-end", daemon=True)

    def arm(self) -> None:
        """Start the time. Returns at once; there is no way back."""
        self._thread.start()

    def _wait(self) -> None:
        time.sleep(self._after_s)
        code = self._exit_code()
        # A thread of its own: what is stuck may hold the lock of the log.
        report = threading.Thread(target=self._report, args=(code,), daemon=True)
        report.start()
        report.join(1.0)
        os._exit(code)

    def _report(self, code: int) -> None:
        logger.critical(
            "the process still runs %g s after it was to end; ending it with exit code %d",
            self._after_s,
            code,
        )
