from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from stream_app.errors import ConfigError
from stream_app.settings import load_settings
from stream_app.web.server import WebServer


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


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_can_be_written(site: tuple[str, dict[str, Any]], method: str) -> None:
    url, _ = site
    for path in ("/status", "/metrics", "/health/live", "/health/ready"):
        assert (await fetch(url + path, method))[0] == 405


async def test_head_is_get_without_a_body(site: tuple[str, dict[str, Any]]) -> None:
    url, _ = site
    assert await fetch(f"{url}/status", "HEAD") == (200, "")
    assert await fetch(f"{url}/health/ready", "HEAD") == (503, "")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/status/",
        "/static",
        "/../etc/passwd",
        "/status/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/metrics%00",
        "/data/models",
    ],
)
async def test_no_path_leads_to_a_file(site: tuple[str, dict[str, Any]], path: str) -> None:
    """As raw bytes: a client would tidy the path up first."""
    port = int(site[0].rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = (await asyncio.wait_for(reader.read(), 30)).decode()
    finally:
        writer.close()
        await writer.wait_closed()
    assert answer.split()[1] in ("400", "404")
    assert "root:" not in answer
    assert "Traceback" not in answer


async def test_no_page_of_another_site_may_read_it(site: tuple[str, dict[str, Any]]) -> None:
    url, _ = site
    headers = {"Origin": "http://example.org"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{url}/status") as response,
    ):
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_fault_in_the_status_is_not_shown_to_the_client() -> None:
    def broken() -> Any:
        raise RuntimeError("hunter2")

    server = WebServer("127.0.0.1", 0, is_ready=lambda: True, status=broken)
    port = await server.start()
    try:
        code, said = await fetch(f"http://127.0.0.1:{port}/status")
    finally:
        await server.stop()
    assert code == 500
    assert "hunter2" not in said
    assert "Traceback" not in said


async def test_it_listens_on_loopback_alone_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEB_HOST", raising=False)
    host = load_settings().web_host
    assert ipaddress.ip_address(host).is_loopback
    server = WebServer(host, 0, is_ready=lambda: True, status=dict)
    port = await server.start()
    try:
        listening = [
            item.laddr.ip
            for item in psutil.Process().net_connections(kind="tcp")
            if item.status == psutil.CONN_LISTEN and item.laddr.port == port
        ]
    finally:
        await server.stop()
    assert listening == [host]


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
