"""`stream-app demo` on a terminal: its live view is the screen of `stream-app top`."""

from __future__ import annotations

import os
import sys

import psutil
import pytest

from tests.terminals import Terminal

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "ctrl-c"])
async def test_a_key_ends_the_demo_with_its_summary_and_leaves_no_process_behind(
    key: bytes,
) -> None:
    command = [sys.executable, "-m", "stream_app", "demo"]
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    async with Terminal(command, variables, (160, 50)) as terminal:
        await terminal.until("Dashboard at http://127.0.0.1:")
        await terminal.until("in a browser", "Partitions, workers")  # no phase: it may be over
        await terminal.until("DEMO-USD")
        children = psutil.Process(terminal.process.pid).children(recursive=True)
        terminal.press(key)
        assert await terminal.ended() == 0, terminal.said[-3000:]
        assert terminal.is_as_before()
        assert b"ticks sent" in terminal.said
        assert b"Traceback" not in terminal.said
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
