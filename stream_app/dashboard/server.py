"""The page at `/`, its files, and the stream at `/events`. It answers GET and changes nothing."""

from __future__ import annotations

import asyncio
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aiohttp import web

from stream_app.dashboard.client import Client
from stream_app.dashboard.hub import MOST_CLIENTS, Hub
from stream_app.dashboard.looking import Looking
from stream_app.web.listening import address, listen

SLOW_S: Final = 20.0
"""A browser that takes nothing for so long is dropped."""
_SENT_BYTES: Final = 128 * 1024
"""The system holds no more than this of a stream, so that a browser that hangs is noticed."""
_STATIC: Final = Path(__file__).parent / "static"
_HEADERS: Final = {
    # Scripts, styles, images and the stream come from this server alone. plotly.js writes its
    # rules into a <style> element of its own, which 'self' does not cover: hence 'unsafe-inline'
    # for styles. Scripts have no such exception, so a text from a topic can never run.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class DashboardServer:
    """Serves the page and the streams of one hub."""

    def __init__(self, host: str, port: int, hub: Hub) -> None:
        self._host = host
        self._port = port
        self._hub = hub
        app = web.Application()
        app.on_response_prepare.append(_add_headers)
        app.on_shutdown.append(self._end_streams)
        app.add_routes(
            [
                web.get("/", _page),
                web.get("/events", self._events),
                web.get("/assets/plotly.min.js", _plotly),
                web.static("/assets", _STATIC),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)

    async def start(self) -> str:
        """Listen. If the port is taken, use a free one that the system chooses.

        Returns:
            The address of the page.

        Raises:
            ConfigError: it cannot listen on this address.
        """
        port = await listen(self._runner, self._host, self._port, setting="DASHBOARD")
        return f"{address(self._host, port)}/"

    async def stop(self) -> None:
        """End the streams and close the port."""
        await self._runner.cleanup()

    async def _end_streams(self, _app: web.Application) -> None:
        self._hub.close()

    async def _events(self, request: web.Request) -> web.StreamResponse:
        try:
            looking = Looking.of(request.query)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        if self._hub.clients >= MOST_CLIENTS:
            return web.Response(
                status=503, text="too many browsers look\n", headers={"Retry-After": "10"}
            )
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        client = self._hub.join(looking, request.headers.get("Last-Event-ID"))
        try:
            _bound_buffer(request)
            await response.prepare(request)
            await _write(response, client)
        except (ConnectionError, TimeoutError):
            client.is_dropped = True
        finally:
            self._hub.leave(client)
        if client.is_dropped and request.transport is not None:
            request.transport.abort()
        return response


async def _write(response: web.StreamResponse, client: Client) -> None:
    while (data := await client.take()) is not None:
        async with asyncio.timeout(SLOW_S):
            await response.write(data)


def _bound_buffer(request: web.Request) -> None:
    taken = None if request.transport is None else request.transport.get_extra_info("socket")
    if taken is not None:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT_BYTES)


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})


async def _plotly(_request: web.Request) -> web.FileResponse:
    """From the installed package: its licence and version are that package's."""
    return web.FileResponse(_plotly_file())


def _plotly_file() -> Path:
    """Found without importing plotly, which the page alone uses."""
    spec = find_spec("plotly")
    assert spec is not None  # noqa: S101 - a dependency
    return Path(next(iter(spec.submodule_search_locations or ()))) / "package_data/plotly.min.js"


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
