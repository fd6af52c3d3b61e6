"""A feed's progress on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console

from stream_app.terminal.bar import Bar


class ProgressView(Bar):
    """Shows count, rate and event time while its context is open.

    Args:
        total: how many ticks there will be; None if they do not end.
        console: the console of standard error.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        total: int | None,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(total, console, words="connecting", prefix="feed: ", clock=clock)
        self._total = total
        self._began = clock()

    def update(self, acknowledged: int, ts: int) -> None:
        """Show where the feed is, unless it was shown a moment ago.

        Args:
            acknowledged: ticks that the broker has acknowledged.
            ts: event time, epoch ms.
        """
        self.show(lambda: acknowledged, lambda: self._told(acknowledged, ts))

    def _told(self, acknowledged: int, ts: int) -> str:
        of_total = "" if self._total is None else f" of {self._total:,}"
        rate = acknowledged / max(self._clock() - self._began, 1e-9)
        return f"{acknowledged:,}{of_total} ticks, {rate:,.0f}/s, event time {utc(ts)}"


def utc(ts: int) -> str:
    """Epoch ms as ISO 8601, to the second.

    >>> utc(1_640_995_200_999)
    '2022-01-01T00:00:00Z'
    """
    return f"{datetime.fromtimestamp(ts // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
