"""Runs the screen beside the reading, in one event loop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

from stream_app.overview.observer import Observer
from stream_app.settings import Settings
from stream_app.top.app import TopApp


def is_screen() -> bool:
    """Whether a screen can be drawn: textual reads standard input and writes standard error."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


async def run_top(settings: Settings, *, note: Callable[[], str] | None = None) -> int:
    """Show until it is ended by a key, SIGTERM or SIGINT, or cancelled.

    Args:
        settings: those of the workers.
        note: a line of its own above all; none without it.

    Returns:
        The exit code: 0 but for a fault of the screen, which is told on standard error.

    Raises:
        ConfigError: a certificate is unusable.
        TopicError: topics.yaml is wrong.
    """
    observer = Observer(settings)
    app = TopApp(observer.model, observer.bounds, observer.clock.monotonic, note=note)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, app.exit)
    reading, showing = asyncio.create_task(observer.run()), asyncio.create_task(app.run_async())
    try:
        await asyncio.wait({reading, showing}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
    finally:
        app.exit()
        reading.cancel()
        await asyncio.gather(showing, reading, return_exceptions=True)
    return app.return_code or 0
