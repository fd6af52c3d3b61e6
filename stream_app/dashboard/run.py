"""Runs the dashboard: the reading, the hub and the web server, in one event loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from stream_app.dashboard.hub import Hub
from stream_app.dashboard.server import DashboardServer
from stream_app.overview.observer import Observer
from stream_app.settings import Settings


async def run_dashboard(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. Called by `stream-app dashboard`.

    The page is there before the broker is, and while it is away.

    Args:
        settings: those of the workers.
        say: is called with the address of the page.

    Raises:
        ConfigError: it cannot listen, or a certificate is unusable.
        TopicError: topics.yaml is wrong.
    """
    observer = Observer(settings)
    hub = Hub(observer.model, observer.bounds, observer.clock.monotonic)
    server = DashboardServer(settings.dashboard_host, settings.dashboard_port, hub)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    say(f"Dashboard at {await server.start()}")
    parts = [asyncio.create_task(part.run()) for part in (hub, observer)]
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([*parts, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (*parts, stopping):
            task.cancel()
        await asyncio.gather(*parts, stopping, return_exceptions=True)
        await server.stop()
