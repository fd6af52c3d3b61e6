"""A feed's progress on standard error: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_LINE_EVERY_S: Final = 5.0
_BAR_EVERY_S: Final = 0.1


class ProgressView:
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
        self._total = total
        self._console = console
        self._clock = clock
        self._began = self._shown = clock()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        self._began = self._shown = self._clock()
        if self._console.is_terminal:
            self._bar = Progress(
                BarColumn(), TextColumn("{task.description}"), console=self._console, transient=True
            )
            self._bar.add_task("connecting", total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, acknowledged: int, ts: int) -> None:
        """Show where the feed is, unless it was shown a moment ago.

        Args:
            acknowledged: ticks that the broker has acknowledged.
            ts: event time, epoch ms.
        """
        now = self._clock()
        if now - self._shown < (_LINE_EVERY_S if self._bar is None else _BAR_EVERY_S):
            return
        self._shown = now
        of_total = "" if self._total is None else f" of {self._total:,}"
        rate = acknowledged / max(now - self._began, 1e-9)
        told = f"{acknowledged:,}{of_total} ticks, {rate:,.0f}/s, event time {utc(ts)}"
        if self._bar is None:
            self._console.print(f"feed: {told}", highlight=False, soft_wrap=True)
        else:
            self._bar.update(self._bar.task_ids[0], completed=acknowledged, description=told)


def utc(ts: int) -> str:
    """Epoch ms as ISO 8601, to the second.

    >>> utc(1_640_995_200_999)
    '2022-01-01T00:00:00Z'
    """
    return f"{datetime.fromtimestamp(ts // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
