"""Faust's consumer thread, ended while its client is in trouble."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from stream_app.worker.consumer_thread import ConsumerThread


async def test_a_fetch_that_waits_to_be_repeated_does_not_break_the_end() -> None:
    closed = []

    async def stop() -> None:
        waiting = asyncio.create_task(asyncio.sleep(600))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting

    async def close() -> None:
        closed.append(True)

    thread: Any = ConsumerThread.__new__(ConsumerThread)
    thread._consumer = SimpleNamespace(stop=stop, _client=SimpleNamespace(close=close))
    await thread.on_thread_stop()
    assert closed == [True]
