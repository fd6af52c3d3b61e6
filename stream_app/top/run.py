"""Runs the screen and the readers in one event loop."""

from __future__ import annotations

import asyncio
import select
import signal
import sys
from collections.abc import Callable
from typing import Final

from stream_app.overview.observer import Observer
from stream_app.settings import Settings
from stream_app.top.app import TopApp

TERMINAL_EVERY_S: Final = 1.0
"""The interval between two checks whether the terminal is still there."""


def is_screen() -> bool:
    """Whether a screen can be drawn: textual reads standard input and writes standard error."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


async def run_top(settings: Settings, *, note: Callable[[], str] | None = None) -> int:
    """Show until it is ended by a key, SIGTERM, SIGINT or the terminal's end, or cancelled.

    Args:
        settings: those of the workers.
        note: a line of its own above all; none without it.

    Returns:
        The exit code: 0 except for a fault of the screen, which is printed on standard error.

    Raises:
        ConfigError: a certificate is unusable.
        TopicError: topics.yaml is wrong.
    """
    observer = Observer(settings)
    app = TopApp(observer.model, observer.bounds, observer.clock.monotonic, note=note)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, app.exit)
    showing = asyncio.create_task(app.run_async())
    others = [asyncio.create_task(each) for each in (observer.run(), _terminal_gone())]
    try:
        done, _ = await asyncio.wait({showing, *others}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {showing}:
            task.result()
    finally:
        app.exit()
        for task in others:
            task.cancel()
        await asyncio.gather(showing, *others, return_exceptions=True)
    return app.return_code or 0


async def _terminal_gone() -> None:
    """Wait until the other side of standard input's terminal has closed.

    SIGHUP comes only to a process whose controlling terminal it is. Without this, textual would
    read the end of input again and again, as fast as it can.
    """
    poll = select.poll()
    poll.register(sys.stdin.fileno(), 0)  # a hang-up is always reported
    while not poll.poll(0):  # noqa: ASYNC110 - textual reads the terminal in a thread
        await asyncio.sleep(TERMINAL_EVERY_S)
