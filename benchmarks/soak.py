"""Resident memory of a worker and of its training pool over a long run.

A worker with a month of bars answers ticks at a steady rate and retrains all models again and
again. Event time passes faster than the clock, so bars close and windows roll as they would in
days. Memory is compared at rest: the median after the third retrain and the median after the last.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from harness import Options, options, progress, save, show
from rich.table import Table
from world import (
    DEADLINE_S,
    WORKER,
    Process,
    broker_of_choice,
    last_retrain,
    length,
    live_ticks,
    month_ticks,
    running,
    send,
    settings_for,
    symbol_names,
    topics_file,
    topics_of,
    until_answered,
)

from stream_app.brokers.process import free_ports
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings

SPEED_UP: Final = 250
"""Seconds of event time per second."""
BASELINE_CYCLE: Final = 3
REST_S: Final = (5.0, 15.0)
"""Seconds after the end of a retrain: memory is measured from the first to the second."""
LIMIT: Final = 0.05


@dataclass(slots=True)
class Memory:
    """The measurements, once a second."""

    second: list[float] = field(default_factory=list)
    worker_mib: list[float] = field(default_factory=list)
    pool_mib: list[float] = field(default_factory=list)
    retrains: list[tuple[float, float, str]] = field(default_factory=list)
    """Of each retrain: when it began and ended, and its state."""

    def at_rest(self) -> list[dict[str, float]]:
        """After each retrain: medians at rest, MiB."""
        return [
            {
                "worker": statistics.median(self.worker_mib[at] for at in seen),
                "pool": statistics.median(self.pool_mib[at] for at in seen),
            }
            for _, ended, _ in self.retrains
            if (seen := self._between(ended + REST_S[0], ended + REST_S[1]))
        ]

    def _between(self, began: float, ended: float) -> list[int]:
        return [at for at, second in enumerate(self.second) if began <= second <= ended]


async def watch(worker: Process, settings: Settings, memory: Memory) -> None:
    """Measure once a second, until cancelled."""
    process = psutil.Process(worker.pid)
    began = time.perf_counter()
    last = None
    async with aiohttp.ClientSession() as session:
        while True:
            worker.check()
            children = []
            for child in process.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):  # replaced just now
                    children.append(child.memory_info().rss)
            now = time.perf_counter() - began
            memory.second.append(now)
            memory.worker_mib.append(process.memory_info().rss / 2**20)
            memory.pool_mib.append(sum(children) / 2**20)
            event = await last_retrain(session, settings)
            if event is not None and event["cycle"] != last:
                last = event["cycle"]
                memory.retrains.append((now - event["duration_seconds"], now, event["state"]))
            await asyncio.sleep(1.0)


def endless(symbols: Sequence[str], start_ms: int, price: float, per_second: int) -> Iterator[Tick]:
    """Ticks of all symbols in turn, a new walk every minute."""
    interval_ms = 1000 * SPEED_UP * len(symbols) / per_second
    for minute in itertools.count():
        ticks = live_ticks(
            symbols,
            start_ms=start_ms,
            interval_ms=interval_ms,
            count=60 * per_second,
            price=price,
            seed=minute,
        )
        yield from ticks
        start_ms = ticks[-1].ts + int(interval_ms)


async def soak(chosen: Options, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """History, then the steady rate. Returns the figures and the curve."""
    with broker_of_choice() as broker:
        settings = settings_for(
            broker,
            folder,
            topics_file(folder, {}, "soak."),
            retrain_interval_hours=given.every / 3600,
            min_training_bars=8640,
            web_port=free_ports(1)[0],
        )
        symbols = symbol_names(given.symbols)
        month = month_ticks(chosen.data)
        history = [replace(tick, symbol=symbol) for symbol in symbols for tick in month]
        memory = Memory()
        async with topics_of(settings) as topics:
            with running(WORKER, settings, folder / "worker.log") as worker:
                await send(settings, history, "sending a month")
                await until_answered(settings, topics, len(history), worker)
                watching = asyncio.create_task(watch(worker, settings, memory))
                sent = await feed(settings, topics, given, symbols, month[-1])
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DEADLINE_S):
                        await until_answered(settings, topics, len(history) + sent, worker)
                async with open_reader(client_settings(settings)) as reader:
                    answered = await length(reader, topics.predictions)
                await asyncio.sleep(REST_S[1])  # the last retrain may have ended just now
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                if error := watching.exception() if not watching.cancelled() else None:
                    raise error
        return {
            "broker": broker.name,
            "seconds": memory.second[-1],
            "ticks_per_second": given.rate,
            "sent": len(history) + sent,
            "answered": answered,
            "retrains": memory.retrains,
            "at_rest_mib": memory.at_rest(),
            "series": {
                "second": memory.second,
                "worker_mib": memory.worker_mib,
                "pool_mib": memory.pool_mib,
            },
        }


async def feed(
    settings: Settings,
    topics: Topics,
    given: argparse.Namespace,
    symbols: Sequence[str],
    last: Tick,
) -> int:
    """Send ticks for the given time; returns how many."""
    count = int(given.rate * given.minutes * 60)
    ticks = endless(symbols, last.ts + 1000, last.price, given.rate)
    with progress() as shown:
        task = shown.add_task(f"{given.rate} ticks a second", total=count)
        async with connected_producer(settings) as producer:
            report = await produce(
                itertools.islice(ticks, count),
                producer=producer,
                topic=topics.ticks.name,
                pace=Pace(Speed(per_second=given.rate)),
                on_progress=lambda done, _ts: shown.update(task, completed=done),
            )
    return report.ticks


def table(result: dict[str, Any]) -> Table:
    """Memory after the third retrain and at the end."""
    out = Table(title="Resident memory [MiB]", title_justify="left")
    for name in ("", "after the third retrain", "at the end", "change"):
        out.add_column(name, justify="right")
    rest = result["at_rest_mib"]
    for part, change in result["changes"].items():
        before, after = rest[BASELINE_CYCLE - 1][part], rest[-1][part]
        out.add_row(part, f"{before:.0f}", f"{after:.0f}", f"{change:+.1%}")
    return out


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, help="of the steady rate")
    parser.add_argument("--rate", type=int, default=1000, help="ticks a second, all symbols")
    parser.add_argument("--symbols", type=int, default=1)
    parser.add_argument("--every", type=float, default=120.0, help="seconds between retrains")


async def run(chosen: Options, given: argparse.Namespace) -> None:
    given.minutes = given.minutes or (8.0 if chosen.quick else 20.0)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        result = await soak(chosen, given, Path(folder))
    rest = result["at_rest_mib"]
    result["changes"] = {
        part: rest[-1][part] / before - 1 for part, before in rest[BASELINE_CYCLE - 1].items()
    }
    show(
        table(result),
        f"{result['answered']:,} of {result['sent']:,} ticks answered; "
        f"{len(result['retrains'])} retrains; target: at most {LIMIT:.0%} more",
    )
    save(chosen, {"limit": LIMIT, **result})


if __name__ == "__main__":
    asyncio.run(run(*options(__doc__, add=add)))
