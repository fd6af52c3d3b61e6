"""How far a command is, on standard error: a bar on a terminal, else a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_LINE_EVERY_S: Final = 5.0
_BAR_EVERY_S: Final = 0.1


class Bar:
    """Shows progress while its context is open.

    Args:
        total: what there is to do; None if that does not end.
        console: of standard error.
        words: the initial text next to the bar.
        prefix: of each line where there is no terminal.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        total: float | None,
        console: Console,
        *,
        words: str = "",
        prefix: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._prefix = prefix
        self._clock = clock
        self._shown = clock()
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                BarColumn(), TextColumn("{task.description}"), console=console, transient=True
            )
            self._bar.add_task(words, total=total)

    def __enter__(self) -> Self:
        self._shown = self._clock()
        if self._bar is not None:
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

    def show(
        self, completed: Callable[[], float], words: Callable[[], str], *, always: bool = False
    ) -> None:
        """Show this, unless something was shown a moment ago."""
        now = self._clock()
        every_s = _LINE_EVERY_S if self._bar is None else _BAR_EVERY_S
        if not always and now - self._shown < every_s:
            return
        self._shown = now
        if self._bar is None:
            line = f"{self._prefix}{words()}"
            self._console.print(line, highlight=False, soft_wrap=True, markup=False)
        else:
            self._bar.update(self._bar.task_ids[0], completed=completed(), description=words())
