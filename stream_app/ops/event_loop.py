"""Measures how busy the event loop is: whatever runs in it for long makes all else wait."""

from __future__ import annotations

import asyncio
from typing import Final

from stream_app.ops.metrics import EVENT_LOOP_DELAY

LOOK_EVERY_S: Final = 0.25


async def watch_delay() -> None:
    """Observe how late a timer fires, again and again, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOK_EVERY_S
        await asyncio.sleep(LOOK_EVERY_S)
        EVENT_LOOP_DELAY.observe(max(0.0, loop.time() - due))
