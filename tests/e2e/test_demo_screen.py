"""`stream-app demo` on a terminal: its live view is the screen of `stream-app top`."""

from __future__ import annotations

import os
import signal
import sys

import psutil
import pytest

from tests.terminals import Terminal

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("how", ["q", "hang-up"])
async def test_the_demo_ends_with_its_summary_and_leaves_no_process_behind(how: str) -> None:
    """By a key, and by the signal that a closed window or a lost ssh session sends."""
    command = [sys.executable, "-m", "stream_app", "demo"]
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    async with Terminal(command, variables, (160, 50)) as terminal:
        await terminal.until("Dashboard at http://127.0.0.1:")
        await terminal.until("in a browser", "Partitions, workers")  # no phase: it may be over
        await terminal.until("DEMO-USD")
        children = psutil.Process(terminal.process.pid).children(recursive=True)
        if how == "q":
            terminal.press(b"q")
        else:
            terminal.process.send_signal(signal.SIGHUP)
        assert await terminal.ended() == 0, terminal.said[-3000:]
        assert terminal.is_as_before()
        assert b"ticks sent" in terminal.said
        assert b"Traceback" not in terminal.said
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
