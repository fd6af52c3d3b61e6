"""The other commands that a demo runs, each in its own process, which ends with the demo."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

from stream_app.errors import StreamAppError
from stream_app.settings import Settings

STOP_S: Final = 15.0
_SAYS: Final = "Dashboard at "


@contextlib.asynccontextmanager
async def running(
    command: str, settings: Settings, log: int, *, stdout: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start `stream-app COMMAND` with these settings, and stop it at the end.

    Args:
        command: such as "worker".
        settings: it gets them through its environment.
        log: file descriptor for standard error.
        stdout: file descriptor for standard output, or `asyncio.subprocess.PIPE`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stream_app",
        command,
        env=os.environ | settings.as_environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=log,
        start_new_session=True,  # the demo gets Ctrl-C, and then stops the process cleanly
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()


@contextlib.asynccontextmanager
async def dashboard(settings: Settings, log: int) -> AsyncIterator[str]:
    """Serve the dashboard until the end; it needs no broker yet. Gives the page's address.

    Raises:
        StreamAppError: it ended at once.
    """
    async with running("dashboard", settings, log, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = (await process.stdout.readline()).decode().strip()
        if not line.startswith(_SAYS):
            raise StreamAppError(f"the dashboard ended with exit code {await process.wait()}")
        yield line.removeprefix(_SAYS)
