"""The page and the stream over HTTP, on a free port of loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from stream_app.dashboard import hub as hub_module
from stream_app.dashboard.hub import ANSWER, STEP_S, Hub
from stream_app.dashboard.server import DashboardServer
from stream_app.errors import ConfigError
from stream_app.overview.health import Bounds
from stream_app.overview.read_model import ReadModel
from tests.builders import START_MS, FakeRecord
from tests.topic_records import FakeClock, prediction, read_model


@dataclass
class Site:
    url: str
    hub: Hub
    model: ReadModel
    clock: FakeClock
    http: aiohttp.ClientSession

    def tick(self, number: int) -> None:
        self.take(prediction(START_MS + 1000 * number, price=1.0 + number))

    def take(self, record: FakeRecord) -> None:
        """An answer, and a quarter of a second in which it goes out."""
        self.model.take_answers([record], 1)
        for _ in range(ANSWER):
            self.clock.passed_s += STEP_S
            self.hub.step()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    clock = FakeClock()
    model = read_model(clock)
    hub = Hub(model, Bounds(retrain_target_s=45, retrain_interval_s=3600), clock.monotonic)
    server = DashboardServer("127.0.0.1", 0, hub)
    url = (await server.start()).rstrip("/")
    async with aiohttp.ClientSession() as http:
        yield Site(url=url, hub=hub, model=model, clock=clock, http=http)
    await server.stop()


async def until(stream: aiohttp.StreamReader, words: bytes) -> bytes:
    """What was read when these words came."""
    read = b""
    async with asyncio.timeout(60):
        while words not in read:
            read += await stream.readany()
    return read


async def test_the_page_and_everything_that_it_loads_come_from_here(site: Site) -> None:
    async with site.http.get(f"{site.url}/") as response:
        page = await response.text()
        assert response.status == 200
    assert "http://" not in page
    assert "https://" not in page
    for path in ("main.js", "style.css", "icon.svg", "plotly.min.js"):
        async with site.http.get(f"{site.url}/assets/{path}") as response:
            assert response.status == 200, path
            assert len(await response.read()) > 100


async def test_every_answer_has_the_policy(site: Site) -> None:
    for path in ("/", "/assets/main.js", "/nothing", "/events?view=nonsense"):
        async with site.http.get(site.url + path) as response:
            policy = response.headers.get("Content-Security-Policy", "")
            if response.status != 404:
                assert policy.startswith("default-src 'self'; "), path
                assert "script-src" not in policy
                assert "unsafe-eval" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_nothing_can_be_written(site: Site, method: str) -> None:
    for path in ("/", "/events", "/assets/main.js"):
        async with site.http.request(method, site.url + path) as response:
            assert response.status == 405


@pytest.mark.parametrize(
    "path",
    ["/assets/", "/assets/../server.py", "/assets/..%2fserver.py", "/assets/%2e%2e/server.py"],
)
async def test_no_path_leads_out_of_the_assets(site: Site, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    assert answer.split(b" ", 2)[1] in (b"403", b"404")
    assert b"import" not in answer


async def test_a_wrong_query_is_refused_in_one_line(site: Site) -> None:
    async with site.http.get(f"{site.url}/events?view=week") as response:
        assert (response.status, await response.text()) == (
            400,
            "view=week: allowed are live, day\n",
        )


async def test_the_stream_carries_what_happens(site: Site) -> None:
    site.tick(1)
    async with site.http.get(f"{site.url}/events?symbol=BTC-USD") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        await until(response.content, b'"last_price":2.0')
        site.tick(2)
        await until(response.content, b'"last_price":3.0')


async def test_a_browser_that_comes_back_names_the_last_event_and_gets_the_rest(
    site: Site,
) -> None:
    url = f"{site.url}/events?symbol=BTC-USD"
    site.tick(1)
    async with site.http.get(url) as response:
        read = await until(response.content, b"event: group")
        read += await until(response.content, b"\n\n") if not read.endswith(b"\n\n") else b""
    last = read.rpartition(b"\nid: ")[2].partition(b"\n")[0].decode()
    for number in (2, 3):
        site.tick(number)
    async with site.http.get(url, headers={"Last-Event-ID": last}) as response:
        missed = await until(response.content, b'"last_price":4.0')
    assert b'"last_price":3.0' in missed
    assert b"event: history" not in missed


async def test_a_browser_that_has_gone_is_forgotten(site: Site) -> None:
    async with site.http.get(f"{site.url}/events") as response:
        await until(response.content, b"event: health")
        assert site.hub.clients == 1
        response.close()
    async with asyncio.timeout(60):
        while site.hub.clients:
            site.clock.passed_s += 1
            site.hub.step()
            await asyncio.sleep(0.01)


async def test_more_browsers_than_allowed_are_asked_to_come_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.dashboard.server.MOST_CLIENTS", 2)
    url = f"{site.url}/events"
    async with site.http.get(url) as one, site.http.get(url) as two:
        assert (one.status, two.status) == (200, 200)
        async with site.http.get(url) as three:
            assert three.status == 503
            assert three.headers["Retry-After"] == "10"
    assert hub_module.MOST_CLIENTS >= 50


async def test_a_browser_that_takes_nothing_is_dropped_and_holds_up_nobody(site: Site) -> None:
    """Events without end into a socket that nobody reads: its buffers are full after some MB."""
    port = int(site.url.rpartition(":")[2])
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(("127.0.0.1", port))
    stuck.sendall(b"GET /events?symbol=BTC-USD HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        async with asyncio.timeout(120):
            while not site.hub.clients:
                await asyncio.sleep(0.01)
            async with site.http.get(f"{site.url}/events?symbol=BTC-USD") as response:
                number = 0
                while site.hub.clients > 1:
                    number += 1
                    record = prediction(
                        START_MS + 1000 * number, price=float(number), degraded=["x" * 300] * 500
                    )
                    site.take(record)
                    await until(response.content, b'"last_price":%d.0' % number)
    finally:
        stuck.close()


async def test_the_end_of_the_server_ends_the_streams(site: Site) -> None:
    async with site.http.get(f"{site.url}/events") as response:
        site.hub.close()
        async with asyncio.timeout(60):
            await response.content.read()
    assert site.hub.clients == 0


async def test_a_taken_port_gives_a_free_one_and_a_wrong_host_one_line() -> None:
    clock = FakeClock()
    hub = Hub(read_model(clock), Bounds(retrain_target_s=1, retrain_interval_s=1), clock.monotonic)
    first = DashboardServer("127.0.0.1", 0, hub)
    url = await first.start()
    second = DashboardServer("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]), hub)
    try:
        assert await second.start() != url
    finally:
        await second.stop()
        await first.stop()
    with pytest.raises(ConfigError, match=r"DASHBOARD_HOST=203\.0\.113\.1 DASHBOARD_PORT=0"):
        await DashboardServer("203.0.113.1", 0, hub).start()
