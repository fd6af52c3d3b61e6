"""Workers as separate processes: start, inspect, kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from harness import progress
from pydantic import SecretStr
from world import length

from stream_app.kafka.connection import client_settings
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics
from stream_app.settings import Settings

DEADLINE_S: Final = 300.0
SETTLE_S: Final = 0.2


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a process with these settings."""
    out = dict(os.environ)
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            out[name.upper()] = (
                orjson.dumps(value).decode() if isinstance(value, dict | tuple) else str(value)
            )
    return out


class Process:
    """A process that answers ticks. Its log goes to a file, and is shown if it fails."""

    def __init__(
        self,
        command: Sequence[str],
        settings: Settings,
        log: Path,
        *,
        session: bool = False,
        checkout: Path | None = None,
    ) -> None:
        """Start it, in a session of its own or in ours; it shares the processor with that.

        Args:
            command: after the interpreter.
            settings: of the process.
            log: where its output goes.
            session: whether it gets a session of its own.
            checkout: of the program's code; without it that of this script.
        """
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env=environment_of(settings)
                | ({} if checkout is None else {"PYTHONPATH": str(checkout)}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=log.parent,
                start_new_session=session,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def check(self) -> None:
        """Fail if the process has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"exit code {self._process.returncode}:\n{self.text()[-4000:]}")

    async def until(self, words: str) -> None:
        """Wait until the log has these words."""
        async with asyncio.timeout(DEADLINE_S):
            while words not in self.text():
                self.check()
                await asyncio.sleep(SETTLE_S)

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


WORKER: Final = ("-m", "stream_app", "worker")


@contextlib.contextmanager
def running(command: Sequence[str], settings: Settings, log: Path) -> Iterator[Process]:
    """A process that ends with the context."""
    process = Process(command, settings, log)
    try:
        yield process
    finally:
        process.end()


async def last_retrain(session: aiohttp.ClientSession, settings: Settings) -> Any:
    """The worker's last retrain event from /status; None before the first."""
    async with session.get(f"http://{settings.web_host}:{settings.web_port}/status") as response:
        return (await response.json())["last_retrain"]


async def until_answered(settings: Settings, topics: Topics, count: int, worker: Process) -> None:
    """Wait until there are `count` predictions."""
    with progress() as shown:
        task = shown.add_task("the worker answers", total=count)
        async with open_reader(client_settings(settings)) as reader:
            while (done := await length(reader, topics.predictions)) < count:
                worker.check()
                shown.update(task, completed=done)
                await asyncio.sleep(0.2)
