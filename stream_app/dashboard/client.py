"""One browser's stream, as the hub sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from stream_app.dashboard.channel import Channel

MOST_PENDING_BYTES: Final = 1 << 20
"""A browser that is so far behind is dropped; it reconnects and gets the newest state."""


class Client:
    """What waits to be written to a browser. Lives in one event loop."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.channels = channels
        self.is_dropped = False
        self._pending = bytearray()
        self._wake = asyncio.Event()
        self._closed = False

    def offer(self, data: bytes) -> None:
        """Add events to what is written next. The first ones may be of any size."""
        if self._pending and len(self._pending) + len(data) > MOST_PENDING_BYTES:
            self.is_dropped = True
            self.close()
            return
        self._pending += data
        self._wake.set()

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._wake.set()

    async def take(self) -> bytes | None:
        """Wait for events, and take all that there are; None once the stream is to end."""
        await self._wake.wait()
        self._wake.clear()
        if self._closed:
            return None
        data = bytes(self._pending)
        self._pending.clear()
        return data
