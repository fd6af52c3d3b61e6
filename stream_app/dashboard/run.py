"""Runs the dashboard: the reading, the hub and the web server, in one event loop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from stream_app.clock import SystemClock
from stream_app.dashboard.follow import Follower
from stream_app.dashboard.health import Bounds
from stream_app.dashboard.hub import Hub
from stream_app.dashboard.read_model import ReadModel
from stream_app.dashboard.server import DashboardServer
from stream_app.dashboard.watch import Watch
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import load_topics
from stream_app.settings import Settings

logger = logging.getLogger(__name__)


async def run_dashboard(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. Called by `stream-app dashboard`.

    The page is there before the broker is, and while it is away.

    Args:
        settings: those of the workers.
        say: is told the address of the page.

    Raises:
        ConfigError: it cannot listen, or a certificate is unusable.
        TopicError: topics.yaml is wrong.
    """
    topics = load_topics(settings.topics_file)
    connection = client_settings(settings)
    clock = SystemClock()
    model = ReadModel(clock)
    bounds = Bounds(
        retrain_target_s=settings.retrain_target_seconds,
        retrain_interval_s=settings.retrain_interval_hours * 3600,
    )
    hub = Hub(model, bounds, clock.monotonic)
    watch = Watch(topics, connection, group=settings.consumer_group, model=model)
    follower = Follower(topics, connection, watch, model)
    server = DashboardServer(settings.dashboard_host, settings.dashboard_port, hub)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    say(f"Dashboard at {await server.start()}")
    parts = [asyncio.create_task(part.run()) for part in (hub, watch, follower)]
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
