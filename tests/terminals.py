"""A command on a terminal of its own, as a user has it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class Terminal:
    """Runs a command with standard input, output and error on a pseudo-terminal.

    Args:
        command: program and arguments.
        variables: its whole environment, but for the kind of the terminal.
        size: columns and lines.
    """

    def __init__(
        self, command: Sequence[str], variables: Mapping[str, str], size: tuple[int, int] = (80, 24)
    ) -> None:
        self._command = command
        self._variables = {**variables, "TERM": "xterm-256color"}
        self._size = size
        self.said = b""
        """All that it has written."""

    async def __aenter__(self) -> Self:
        self._is_there = True
        self._own, its = pty.openpty()
        columns, lines = self._size
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(its)
        self._its = its
        self.process = subprocess.Popen(
            self._command,
            stdin=its,
            stdout=its,
            stderr=its,
            env=self._variables,
            start_new_session=True,
        )
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._own, self._read)
        return self

    def _read(self) -> None:
        self.said += os.read(self._own, _CHUNK)
        self._changed.set()

    async def until(self, *texts: str) -> None:
        """Wait until it has written each of these; the test's own limit ends it."""
        for text in texts:
            while text.encode() not in self.said:
                assert self.process.poll() is None, self.said.decode(errors="replace")
                self._changed.clear()
                try:
                    await asyncio.wait_for(self._changed.wait(), 1)
                except TimeoutError:
                    continue

    def press(self, keys: bytes) -> None:
        os.write(self._own, keys)

    async def ended(self) -> int:
        """Its exit code, once it has ended; what it writes until then is read."""
        while self.process.poll() is None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0)
        return self.process.returncode

    def hang_up(self) -> None:
        """Take the terminal away: it is not the process's controlling one, so no signal comes."""
        if self._is_there:
            self._is_there = False
            asyncio.get_running_loop().remove_reader(self._own)
            os.close(self._own)

    def is_as_before(self) -> bool:
        """Whether the terminal's own settings, such as the echo of keys, are those of before."""
        return termios.tcgetattr(self._its) == self.before

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()
        os.close(self._its)
