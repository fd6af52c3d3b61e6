"""A dashboard as a real process, and what its stream says, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson

from stream_app.settings import Settings
from tests.workers import environment

PATIENCE_S = 900.0
"""For one event. Training yields to everything else on the machine."""


class DashboardProcess:
    """`stream-app dashboard` with these settings, on a free port; its log goes to a file."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self.log = log
        self.url = ""

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream_app", "dashboard"],
                env={**environment(self._settings), "STREAM_APP_DASHBOARD_PORT": "0"},
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.log.parent,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert line.startswith("Dashboard at http://127.0.0.1:"), (line, self.log.read_text())
        self.url = line.split()[-1]

    def terminate(self) -> int:
        """SIGTERM, and wait for the end in order."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Seen:
    """The newest event of each name that a stream has brought."""

    def __init__(self) -> None:
        self.newest: dict[str, Any] = {}
        self._changed = asyncio.Event()

    def take(self, name: str, value: Any) -> None:
        self.newest[name] = value
        self._changed.set()

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until it holds of the newest events."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._holds(holds):
                self._changed.clear()
                try:
                    await self._changed.wait()
                except asyncio.CancelledError:
                    raise AssertionError(self.newest) from None
        return self.newest

    def _holds(self, holds: Callable[[dict[str, Any]], bool]) -> bool:
        try:
            return holds(self.newest)
        except KeyError:  # an event that it asks for has not come
            return False


@asynccontextmanager
async def watching(url: str, query: str = "") -> AsyncIterator[Seen]:
    """Look at a dashboard's stream as a browser does, until the block ends."""
    seen = Seen()

    async def read() -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{url}events?{query}") as response,
        ):
            assert response.status == 200
            buffer = b""
            async for chunk in response.content.iter_any():
                *events, buffer = (buffer + chunk).split(b"\n\n")
                for event in events:
                    fields = dict(line.partition(b": ")[::2] for line in event.split(b"\n"))
                    if b"event" in fields:
                        seen.take(fields[b"event"].decode(), orjson.loads(fields[b"data"]))

    reading = asyncio.create_task(read())
    try:
        yield seen
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def check(newest: dict[str, Any], name: str) -> dict[str, str]:
    """One of the checks of the newest health event."""
    found: dict[str, str] = next(c for c in newest["health"]["checks"] if c["id"] == name)
    return found
