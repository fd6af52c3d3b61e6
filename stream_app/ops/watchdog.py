"""Ends the process when it is stuck, so that its supervisor starts a new one.

Faust can stay alive after an agent has died. And a step that hangs blocks the event loop, together
with everything that could notice. So a thread checks from outside. If there is work but no sign of
life for too long, it prints where each thread is stuck and ends the process with exit code 3.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

EXIT_CODE: Final = 3
LOOK_EVERY_S: Final = 0.5
REPORT_S: Final = 5.0
"""How long the report of where the process is stuck may take."""


class Stall:
    """Decides whether the process is stuck. Pure: time and signs are arguments.

    >>> stall = Stall(limit_s=10.0)
    >>> [stall.is_stuck(now, signs=1, busy=True) for now in (0.0, 10.0, 11.0)]
    [False, False, True]
    >>> stall.is_stuck(12.0, signs=2, busy=True)
    False
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._signs = -1
        self._since: float | None = None

    def is_stuck(self, now: float, *, signs: int, busy: bool) -> bool:
        """Whether there has been work but no sign of life for longer than the limit.

        Args:
            now: monotonic seconds.
            signs: a counter that grows with every sign of life.
            busy: whether there is work.
        """
        if not busy:
            self._since = None
            return False
        if signs != self._signs or self._since is None:
            self._signs, self._since = signs, now
            return False
        return now - self._since > self._limit_s


class Watchdog:
    """Watches the process from its own thread.

    Args:
        limit_s: how long work may show no sign of life.
        signs: counts signs of life. Called in the watchdog's thread.
        busy: whether there is work. Called in the watchdog's thread.
    """

    def __init__(
        self, limit_s: float, *, signs: Callable[[], int], busy: Callable[[], bool]
    ) -> None:
        self._stall = Stall(limit_s)
        self._limit_s = limit_s
        self._signs = signs
        self._busy = busy
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start to watch. Returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. Returns at once."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            if self._stall.is_stuck(time.monotonic(), signs=self._signs(), busy=self._busy()):
                # In a thread of its own, because what is stuck may hold the log's lock.
                report = threading.Thread(target=self._report, name="watchdog-report", daemon=True)
                report.start()
                report.join(REPORT_S)
                # sys.exit would wait for whatever is stuck.
                os._exit(EXIT_CODE)

    def _report(self) -> None:
        logger.critical(
            "nothing was answered for %g s though there are ticks: ending with exit code %d, to be "
            "started again; where each thread is:",
            self._limit_s,
            EXIT_CODE,
        )
        faulthandler.dump_traceback(all_threads=True)
