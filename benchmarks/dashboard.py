"""What the dashboard costs and how soon it shows a tick, at 500 ticks a second of ten symbols.

Broker, feed, worker (the Kalman filter alone), dashboard, streams and browser share the machine.
Alternating without browsers and with 50 browsers' streams: the dashboard's share of a core, and the
time from tick to prediction through the worker. Then a real browser, if there is one: the time to
the first content, and from a tick to the frame that shows it or a newer one. Finally a dashboard
with bars and predictions of 1,000 symbols: its memory at 500 predictions a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np
import orjson
import psutil
from harness import Options, options, progress, quantiles, save, show
from playwright.async_api import Page, async_playwright
from prices import symbol_names
from processes import WORKER, Process, running
from rich.table import Table
from world import broker_of_choice, settings_for, topics_file, topics_of

from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_new
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings

DASHBOARD: Final = ("-m", "stream_app", "dashboard")
PER_SECOND: Final = 500
SYMBOLS: Final = 10
BROWSERS: Final = 50
MANY: Final = 1000
BARS: Final = 288
LOADS: Final = 5
SHOWN: Final = """(prices) => {
  window.shown = [];
  const note = () => requestAnimationFrame(() => {
    const text = document.querySelector('#readout dd')?.textContent;
    if (text && text !== window.shown.at(-1)?.[0]) window.shown.push([text, Date.now()]);
  });
  new MutationObserver(note).observe(document.querySelector('#readout'),
    { characterData: true, childList: true, subtree: true });
}"""


@dataclass(slots=True)
class Flow:
    """What was sent and answered, by the symbol's number of the tick; epoch seconds."""

    sent: dict[tuple[str, int], float] = field(default_factory=dict)
    prediction_ms: list[float] = field(default_factory=list)

    def ticks(self) -> Iterator[Tick]:
        """Endless; the price of each symbol counts its ticks, so that a price names a tick."""
        names = symbol_names(SYMBOLS)
        for number in itertools.count():
            for name in names:
                now = time.time()
                yield Tick(symbol=name, price=1000.0 + number / 100, ts=int(now * 1000))
                # The producer has waited until the tick is due, and is about to send it.
                self.sent[name, number] = now

    def answered(self, value: bytes) -> None:
        """Note a prediction."""
        message = orjson.loads(value)
        number = round((message["last_price"] - 1000.0) * 100)
        sent = self.sent.get((message["symbol"], number))
        if sent is not None:
            self.prediction_ms.append(1000 * (time.time() - sent))


@contextlib.asynccontextmanager
async def flowing(settings: Settings, topics: Topics, flow: Flow) -> AsyncIterator[None]:
    """Ticks are sent and predictions read, until the block ends."""

    async def send() -> None:
        async with connected_producer(settings) as producer:
            pace = Pace(Speed(per_second=PER_SECOND))
            await produce(
                flow.ticks(),
                producer=producer,
                topic=topics.ticks.name,
                pace=pace,
                on_progress=lambda _count, _ts: None,
            )

    async def read() -> None:
        async with open_reader(client_settings(settings)) as consumer:
            async for record in read_new(consumer, topics.predictions):
                flow.answered(record.value)

    tasks = [asyncio.create_task(send()), asyncio.create_task(read())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def address(process: Process) -> str:
    """Where a dashboard serves."""
    await process.until("Dashboard at ")
    found = re.search(r"Dashboard at (\S+)", process.text())
    assert found is not None
    return found[1]


async def look(url: str, number: int) -> None:
    """A browser's stream: what it brings is read and dropped."""
    query = f"symbol={symbol_names(SYMBOLS)[number % SYMBOLS]}&page={number % 3}"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http,
        http.get(f"{url}events?{query}") as response,
    ):
        response.raise_for_status()
        async for _ in response.content.iter_any():
            pass


async def turn(
    url: str, process: Process, flow: Flow, browsers: int, seconds: float
) -> dict[str, Any]:
    """One turn with so many browsers: the dashboard's share of a core, and the worker's times."""
    tasks = [asyncio.create_task(look(url, number)) for number in range(browsers)]
    await asyncio.sleep(2.0)
    flow.prediction_ms.clear()
    before, began = psutil.Process(process.pid).cpu_times(), time.perf_counter()
    await asyncio.sleep(seconds)
    after, took = psutil.Process(process.pid).cpu_times(), time.perf_counter() - began
    if ended := [task for task in tasks if task.done()]:
        raise RuntimeError(f"{len(ended)} of {browsers} streams have ended")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    used = after.user + after.system - before.user - before.system
    return {"core_percent": 100 * used / took, "prediction_ms": quantiles(flow.prediction_ms)}


async def in_browser(url: str, flow: Flow, seconds: float) -> dict[str, Any] | None:
    """First content over several loads, and tick to pixel on one; None without a browser."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        return None
    symbol = symbol_names(SYMBOLS)[0]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        loads = []
        for _ in range(LOADS):
            page = await browser.new_page()
            await page.goto(f"{url}?symbol={symbol}")
            loads.append(await loaded_ms(page))
            await page.close()
        page = await browser.new_page()
        await page.goto(f"{url}?symbol={symbol}")
        await page.locator("#price-chart svg.main-svg").first.wait_for()
        await page.evaluate(SHOWN)
        await asyncio.sleep(seconds)
        shown = await page.evaluate("window.shown")
        await browser.close()
    return {
        "first_content_ms": [paint for paint, _ in loads],
        "checks_shown_ms": [checks for _, checks in loads],
        "tick_to_pixel_ms": tick_to_pixel(flow, symbol, shown),
    }


async def loaded_ms(page: Page) -> tuple[float, float]:
    """From the start of the load to the first paint, and until the checks are there."""
    await page.locator("#checks .check").first.wait_for()
    checks = await page.evaluate("performance.now()")
    paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    return float(await page.evaluate(paint) or checks), float(checks)


def tick_to_pixel(flow: Flow, symbol: str, shown: list[tuple[str, float]]) -> dict[str, float]:
    """For every tick, until it or a newer one was in a frame; milliseconds."""
    frames = [(round((float(text.replace(",", "")) - 1000) * 100), at) for text, at in shown]
    waits = []
    for (before, _), (number, at) in itertools.pairwise(frames):
        waits += [
            at - 1000 * flow.sent[symbol, tick]
            for tick in range(before + 1, number + 1)
            if (symbol, tick) in flow.sent
        ]
    found = quantiles(waits)
    return {**found, "p95": float(np.quantile(waits, 0.95)) if waits else float("nan")}


def prediction(symbol: str, number: int) -> bytes:
    """A message as a worker publishes it."""
    ts = int(time.time() * 1000)
    price = 100.0 + number % 7
    members = {
        name: {"prediction": price, "weight": 0.25, "version": "v", "age_s": 1.0, "shrinkage": 1.0}
        for name in ("kalman", "random_forest", "lightgbm", "lstm")
    }
    message = {
        "id": f"t-0-{number}", "symbol": symbol, "ts": ts, "target_ts": ts + 300_000,
        "horizon_s": 300, "last_price": price, "prediction": price, "bias_correction": 0.0,
        "members": members, "degraded": [],
        "intervals": [
            {"level": 0.5, "low": 99.0, "high": 108.0}, {"level": 0.9, "low": 98.0, "high": 109.0},
        ],
        "source": {"topic": "t", "partition": 0, "offset": number},
    }  # fmt: skip
    return orjson.dumps(message)


def bar(symbol: str, number: int) -> bytes:
    """A bar as a worker publishes it, with a state as long as most are."""
    ts_open = 1_700_000_000_000 - 1_700_000_000_000 % 300_000 + 300_000 * number
    forecasts = {
        "ensemble": 1e-4,
        "published": 1e-4,
        "intervals": [[0.5, -1e-3, 1e-3], [0.9, -2e-3, 2e-3]],
    }
    message = {
        "symbol": symbol, "ts_open": ts_open, "ts_last": ts_open + 299_000, "bar_s": 300,
        "open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0 + number % 7, "volume": 1.0,
        "ticks": 4, "empty_before": 0, "forecast": 1e-4, "horizon_s": 300, "forecasts": forecasts,
        "state": {"x": "x" * 1200}, "source": {"topic": "t", "partition": 0, "offset": number},
    }  # fmt: skip
    return orjson.dumps(message)


async def memory(
    settings: Settings, topics: Topics, folder: Path, seconds: float
) -> dict[str, Any]:
    """A dashboard of 1,000 symbols: resident MiB after the start, in the middle and at the end."""
    names = symbol_names(MANY)
    async with connected_producer(settings) as producer:
        with progress() as bars_sent:
            for number in bars_sent.track(range(BARS), description="bars of 1,000 symbols"):
                for name in names:
                    await producer.send(topics.bars.name, bar(name, number), key=name.encode())
                await producer.flush()
        with running(DASHBOARD, settings, folder / "many.log") as process:
            url = await address(process)
            tasks = [asyncio.create_task(look(url, number)) for number in range(3)]
            resident = []
            began = time.perf_counter()
            with progress() as sent:
                task = sent.add_task("predictions of 1,000 symbols", total=int(seconds))
                for number in itertools.count():
                    due = began + number / PER_SECOND
                    if due - began > seconds:
                        break
                    name = names[number % MANY]
                    await producer.send(
                        topics.predictions.name, prediction(name, number), key=name.encode()
                    )
                    if number % PER_SECOND == 0:
                        resident.append(psutil.Process(process.pid).memory_info().rss / 2**20)
                        sent.advance(task)
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
            for look_task in tasks:
                look_task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    third = len(resident) // 3
    return {
        "seconds": seconds,
        "at_a_third_mib": resident[third],
        "at_the_end_mib": resident[-1],
        "resident_mib": resident[:: max(1, third // 10)],
    }


async def measure(chosen: Options, minutes: float) -> dict[str, Any]:
    seconds = 10.0 if chosen.quick else 30.0
    turns: dict[str, list[dict[str, Any]]] = {"nobody": [], f"{BROWSERS} browsers": []}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, broker_of_choice() as broker:
        folder = Path(name)
        file = topics_file(folder, {}, "dash.")
        # No training: what is measured is the dashboard.
        settings = settings_for(broker, folder, file, min_training_bars=8640, dashboard_port=0)
        flow = Flow()
        async with topics_of(settings) as topics:
            with (
                running(WORKER, settings, folder / "worker.log") as worker,
                running(DASHBOARD, settings, folder / "dashboard.log") as process,
            ):
                url = await address(process)
                await worker.until("Worker started")
                async with flowing(settings, topics, flow):
                    await asyncio.sleep(5.0)
                    for _ in range(chosen.rounds):
                        turns["nobody"].append(await turn(url, process, flow, 0, seconds))
                        found = await turn(url, process, flow, BROWSERS, seconds)
                        turns[f"{BROWSERS} browsers"].append(found)
                    browser = await in_browser(url, flow, 2 * seconds)
        many = topics_file(folder, {}, "many.")
        settings = settings_for(broker, folder, many, dashboard_port=0)
        async with topics_of(settings) as topics:
            held = await memory(settings, topics, folder, 60 * minutes)
        return {"broker": broker.name, "turns": turns, "browser": browser, "memory": held}


def tables(found: dict[str, Any]) -> list[Table]:
    cost = Table(title="500 ticks a second", title_justify="left")
    for column in ("who looks", "of a core [%]", "tick to prediction p50 [ms]", "p99 [ms]"):
        cost.add_column(column, justify="right")
    for who, turns in found["turns"].items():
        figures = [
            np.median([item["core_percent"] for item in turns]),
            np.median([item["prediction_ms"]["p50"] for item in turns]),
            np.median([item["prediction_ms"]["p99"] for item in turns]),
        ]
        cost.add_row(who, *(f"{value:.1f}" for value in figures))
    rest = Table(title="The page", title_justify="left")
    rest.add_column("")
    rest.add_column("", justify="right")
    if (browser := found["browser"]) is not None:
        rest.add_row("first content, median [ms]", f"{np.median(browser['first_content_ms']):.0f}")
        rest.add_row("checks shown, median [ms]", f"{np.median(browser['checks_shown_ms']):.0f}")
        for name in ("p50", "p95", "p99"):
            rest.add_row(f"tick to pixel {name} [ms]", f"{browser['tick_to_pixel_ms'][name]:.0f}")
    rest.add_row("1,000 symbols: at a third [MiB]", f"{found['memory']['at_a_third_mib']:.1f}")
    rest.add_row("1,000 symbols: at the end [MiB]", f"{found['memory']['at_the_end_mib']:.1f}")
    return [cost, rest]


def main() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--minutes", type=float, default=20.0, help="of the memory's run")

    chosen, given = options(__doc__, add=add)
    found = asyncio.run(measure(chosen, 1.0 if chosen.quick else given.minutes))
    show(*tables(found))
    save(chosen, found)


if __name__ == "__main__":
    main()
