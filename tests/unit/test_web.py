from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from stream_app.errors import ConfigError
from stream_app.web import WebServer


@pytest.fixture
async def site() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    state: dict[str, Any] = {"ready": False}
    server = WebServer("127.0.0.1", 0, is_ready=lambda: state["ready"], status=lambda: state)
    port = await server.start()
    yield f"http://127.0.0.1:{port}", state
    await server.stop()


async def fetch(url: str, method: str = "GET") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        return response.status, await response.text()


async def test_ready_is_503_until_the_partitions_are_restored(
    site: tuple[str, dict[str, Any]],
) -> None:
    url, state = site
    assert (await fetch(f"{url}/health/ready"))[0] == 503
    assert (await fetch(f"{url}/health/live"))[0] == 200
    state["ready"] = True
    assert (await fetch(f"{url}/health/ready"))[0] == 200


async def test_status_and_metrics_are_served(site: tuple[str, dict[str, Any]]) -> None:
    url, _ = site
    assert (await fetch(f"{url}/status"))[1].strip().startswith("{")
    assert "stream_app_ticks_read_total" in (await fetch(f"{url}/metrics"))[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_written(site: tuple[str, dict[str, Any]], method: str) -> None:
    url, _ = site
    for path in ("/status", "/metrics", "/health/live", "/health/ready"):
        assert (await fetch(url + path, method))[0] == 405


async def test_a_taken_port_is_replaced_by_a_free_one_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = WebServer("127.0.0.1", 0, is_ready=lambda: True, status=dict)
    port = await first.start()
    second = WebServer("127.0.0.1", port, is_ready=lambda: True, status=dict)
    try:
        assert await second.start() != port
        assert f"WEB_PORT={port} is taken" in caplog.text
    finally:
        await second.stop()
        await first.stop()


async def test_an_address_that_is_not_ours_is_refused_in_one_line() -> None:
    server = WebServer("203.0.113.1", 0, is_ready=lambda: True, status=dict)
    with pytest.raises(ConfigError, match=r"WEB_HOST=203\.0\.113\.1"):
        await server.start()
    await server.stop()
