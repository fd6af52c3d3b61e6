"""A TCP link on loopback that can be cut: no byte passes, and no side is told."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Self

_CHUNK_BYTES: Final = 65_536


class Link:
    """Passes bytes between who connects to `port` and what listens on `target`, both on loopback.

    While it is cut, connections stay open and new ones are accepted, as by a network that drops
    packets. What was on its way arrives when it is mended. It runs in the loop that starts it.
    With port 0 the system chooses one.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._passes = asyncio.Event()
        self._passes.set()
        self._open: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        self._passes.clear()

    def mend(self) -> None:
        self._passes.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        with suppress(OSError):  # the broker is away, or has closed
            await self._passes.wait()
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, forth))
                    both.create_task(self._pass(back, writer))
            finally:
                forth.close()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
            await self._passes.wait()
        writer.close()
