"""No part of a process that ends keeps it alive, or the next part from its turn."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable

import pytest

from stream_app.ops.ending import Part, stop_in_order


async def hangs() -> None:
    await asyncio.sleep(10_000)


async def swallows_its_cancellation() -> None:
    while True:
        try:
            await asyncio.sleep(10_000)
        except asyncio.CancelledError:
            if asyncio.get_running_loop().is_closed():
                raise
            await release.wait()
            return


async def raises() -> None:
    raise RuntimeError("Event loop is closed")


async def is_cancelled() -> None:
    raise asyncio.CancelledError


release = asyncio.Event()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    global release  # noqa: PLW0603 - an event belongs to one loop
    release = asyncio.Event()


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (hangs, "stopping the first takes too long; ending without it"),
        (swallows_its_cancellation, "stopping the first takes too long; ending without it"),
        (raises, "stopping the first failed (RuntimeError: Event loop is closed)"),
        (is_cancelled, "stopping the first was cancelled; ending without it"),
    ],
)
async def test_a_part_that_does_not_stop_is_named_and_the_next_one_stops(
    stop: Callable[[], Awaitable[None]], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    stopped = []

    async def second() -> None:
        stopped.append("second")

    parts = [Part(name="the first", stop=stop), Part(name="the second", stop=second)]
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(30):
            await stop_in_order(parts, within_s=0.2)
    release.set()
    assert stopped == ["second"]
    assert [record.getMessage() for record in caplog.records] == [said]


async def test_parts_stop_one_after_the_other(caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    def part(name: str) -> Part:
        async def stop() -> None:
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

        return Part(name=name, stop=stop)

    await stop_in_order([part("one"), part("two")], within_s=60)
    assert order == ["one begins", "one ends", "two begins", "two ends"]
    assert not caplog.records


HELD = """
    import asyncio, logging, sys, threading, time
    from stream_app.ops.ending import ForcedEnd

    logging.basicConfig()
    ForcedEnd(1.0, exit_code=lambda: {code}).arm()
    {held}
"""
HELD_BY = {
    "a step that blocks the loop": "time.sleep(10_000)",
    "a task that swallows its cancellation": """
    async def main():
        async def stays():
            while True:
                try:
                    await asyncio.sleep(10_000)
                except asyncio.CancelledError:
                    pass
        asyncio.ensure_future(stays())
        await asyncio.sleep(0)
    asyncio.run(main())
    """,
    "a thread that is no daemon": "threading.Thread(target=time.sleep, args=(10_000,)).start()",
    "a lock of the log": """
    logging.getLogger().handlers[0].acquire()
    time.sleep(10_000)
    """,
}


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("held", HELD_BY.values(), ids=HELD_BY)
def test_whatever_holds_the_process_it_ends_with_its_code(held: str, code: int) -> None:
    script = textwrap.dedent(HELD).format(code=code, held=textwrap.dedent(held))
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == code, ended.stderr
    if "acquire" not in held:
        assert f"ending it with exit code {code}" in ended.stderr


def test_a_process_that_ends_in_time_never_notices() -> None:
    script = textwrap.dedent(HELD).format(code=7, held="")
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (0, "")
