"""A broker's process: started, awaited, ended, and never left behind."""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stream_app.errors import BrokerError

_PORTS: Final = range(20_000, 32_000)
"""Below the ephemeral ports of Linux, macOS and Windows. While a broker is down, a client that
keeps connecting to an ephemeral port of loopback can get that same port for its own end, and so
connect to itself. Then the broker cannot get the port back."""

_STOP_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.05
_TAIL_LINES: Final = 3

# PR_SET_PDEATHSIG (1) survives exec, but must not be set in a fork hook of a process with threads.
# So a small interpreter sets it and becomes the broker. The parent may have ended before that.
_DIE_WITH_PARENT: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def free_ports(count: int) -> list[int]:
    """Different ports of loopback on which nothing listens now.

    Raises:
        BrokerError: there are not enough.
    """
    free: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        free.append(port)
        if len(free) == count:
            return free
    raise BrokerError(
        f"fewer than {count} free ports from {_PORTS.start} to {_PORTS.stop} on 127.0.0.1; end "
        "some of the processes that listen there"
    )


class BrokerProcess:
    """One child process that answers Kafka's protocol on a port of loopback."""

    def __init__(
        self, name: str, command: Sequence[str], *, port: int, log: Path, ready_timeout_s: float
    ) -> None:
        self._name = name
        self._command = list(command)
        self._port = port
        self._log = log
        self._ready_timeout_s = ready_timeout_s
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it answers. Does nothing when it is running. Blocks.

        Raises:
            BrokerError: it ended, or does not answer in time; with the last lines of its log.
        """
        if self._child is not None and self._child.poll() is None:
            return
        command = self._command
        if sys.platform == "linux":
            launcher = (sys.executable, "-S", "-E", "-c", _DIE_WITH_PARENT, str(os.getpid()))
            command = [*launcher, *command]
        with self._log.open("ab") as log:
            # In its own session it does not get Ctrl-C: we do, and stop the broker last.
            self._child = subprocess.Popen(  # noqa: S603 - a fixed command, no shell
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + self._ready_timeout_s
        while not answers(self._port):
            code = self._child.poll()
            if code is not None:
                self._child = None
                raise BrokerError(f"{self._name} ended at once, exit code {code}: {self._tail()}")
            if time.monotonic() > deadline:
                self.end(signal.SIGKILL)
                raise BrokerError(
                    f"{self._name} does not answer on 127.0.0.1:{self._port} within "
                    f"{self._ready_timeout_s:g} s: {self._tail()}"
                )
            time.sleep(_POLL_S)

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end, then send SIGKILL if it does not end. Blocks."""
        if self._child is None:
            return
        child, self._child = self._child, None
        child.send_signal(number)
        try:
            child.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").split("\n")
        told = [line.strip() for line in lines if line.strip()]
        return " | ".join(told[-_TAIL_LINES:]) or "its log is empty"


def answers(port: int) -> bool:
    """Whether a broker answers on this port of loopback. Blocks for at most a second.

    It requests the metadata of no topic, because the request must not create one.
    """
    header = struct.pack(">hhih", 3, 4, 1, -1)  # Metadata, version 4, correlation 1, no client id
    request = header + struct.pack(">ib", 0, 0)  # no topics, no auto-creation
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as reply:
                head = reply.read(16)  # length, correlation, throttle time, number of brokers
    except OSError:
        return False
    return len(head) == 16 and int(struct.unpack(">iiii", head)[3]) > 0
