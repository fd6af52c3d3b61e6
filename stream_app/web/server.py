"""The worker's web server: health, status and metrics. Read only, and on loopback by default."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from stream_app.ops.metrics import REGISTRY
from stream_app.web.listening import address, listen

logger = logging.getLogger(__name__)


class WebServer:
    """Serves GET on `/health/live`, `/health/ready`, `/status` and `/metrics`."""

    def __init__(
        self, host: str, port: int, *, is_ready: Callable[[], bool], status: Callable[[], Any]
    ) -> None:
        self._host = host
        self._port = port
        self._is_ready = is_ready
        self._status = status
        app = web.Application()
        app.add_routes(
            [
                web.get("/health/live", self._live),
                web.get("/health/ready", self._ready),
                web.get("/status", self._show_status),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> int:
        """Listen. If the port is taken, use a free one that the system chooses.

        Returns:
            The port.

        Raises:
            ConfigError: it cannot listen on this address.
        """
        port = await listen(self._runner, self._host, self._port, setting="WEB")
        logger.info("Health, status and metrics at %s/status", address(self._host, port))
        return port

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        if self._is_ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready\n")

    async def _show_status(self, _request: web.Request) -> web.Response:
        body = orjson.dumps(self._status(), option=orjson.OPT_INDENT_2)
        return web.Response(body=body, content_type="application/json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
