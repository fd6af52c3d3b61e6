"""A real browser on a dashboard whose read model the tests fill with records themselves.

Without a Chromium the tests are skipped, and say so. CHROMIUM names one that is not in the PATH.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from stream_app.dashboard.hub import Hub
from stream_app.dashboard.server import DashboardServer
from stream_app.overview.health import Bounds
from stream_app.overview.read_model import ReadModel
from tests.builders import START_MS
from tests.topic_records import FakeClock, place, prediction, read_model, worker

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
BOUNDS = Bounds(retrain_target_s=45.0, retrain_interval_s=3600.0)


@dataclass
class Stage:
    """A dashboard in this process: the tests write what would come from Kafka."""

    clock: FakeClock = field(default_factory=FakeClock)
    ticks: int = 0

    def __post_init__(self) -> None:
        self.model: ReadModel = read_model(self.clock)
        self.port = 0
        self.url = ""

    async def start(self) -> None:
        """Serve, on the same port as before if there was one."""
        self.hub = Hub(self.model, BOUNDS, self.clock.monotonic)
        self.server = DashboardServer("127.0.0.1", self.port, self.hub)
        self.url = await self.server.start()
        self.port = int(self.url.rstrip("/").rpartition(":")[2])
        self.stepping = asyncio.create_task(self.hub.run())

    async def stop(self) -> None:
        self.stepping.cancel()
        await self.server.stop()

    def tick(self, price: float = 100.0, **more: Any) -> None:
        """An answer to a tick a second after the one before."""
        self.ticks += 1
        self.clock.passed_s += 1
        ts = START_MS + 1000 * self.ticks
        record = prediction(ts, price=price, written_ms=self.clock.now_ms(), **more)
        self.model.take_answers([record], 1)

    def all_is_well(self) -> None:
        self.tick()
        self.model.take_group({0: place(0, end=50, committed=50)}, [worker(0)])


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM to one")
    async with async_playwright() as playwright:
        # The sandbox needs rights that root in a container lacks; the pages are our own.
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        await launched.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page whose errors and breaches of the policy fail the test."""
    opened = await browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.set_default_timeout(60_000)
    said: list[str] = []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on(
        "console",
        lambda message: (
            said.append(message.text)
            if message.type == "error"
            and "Failed to load resource" not in message.text
            and "ERR_CONNECTION" not in message.text
            and "ERR_INCOMPLETE" not in message.text
            else None
        ),
    )
    yield opened
    await opened.close()
    assert said == []
