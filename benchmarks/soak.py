"""Two workers over hours: does anything grow?

Both belong to one group, with a symbol in each partition and a month of its bars. One lives
through the whole run; the other is killed every so often, and starts again at once. Ticks arrive at
a steady rate, and all models are retrained continuously. Event time passes faster than the clock,
so bars close and windows roll as they would in days. Memory, open files, threads, lag and the
retrains' durations are sampled; of the worker that lives on, the slope over the run is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psutil
from aiokafka.partitioner import DefaultPartitioner
from harness import Options, options, progress, save, show
from prices import live_ticks, month_ticks, symbol_names
from processes import DEADLINE_S, WORKER, Process
from rich.table import Table
from soak_samples import LIMIT, Answers, Level, Life, levels, plain, retrains_of, sample
from world import broker_of_choice, send, settings_for, topics_file, topics_of

from stream_app.brokers.process import free_ports
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics, load_topics
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings

SPEED_UP: Final = 250
"""Seconds of event time per second."""
SAMPLE_EVERY_S: Final = 5.0
CHILDREN_END_S: Final = 30.0
"""Within which the training processes of a killed worker must have ended."""


@dataclass(slots=True)
class Run:
    """The two workers, and what was seen of them."""

    settings: Settings
    folder: Path
    answers: Answers
    living: Life = field(default_factory=lambda: Life(0))
    killed: list[Life] = field(default_factory=list)
    kills_s: list[float] = field(default_factory=list)
    orphans: int = 0
    lag: list[tuple[float, int]] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    """The one that lives, then the one that is killed."""

    def start(self, name: str) -> tuple[Process, Life]:
        own = self.settings.model_copy(update={"web_port": free_ports(1)[0]})
        process = Process(WORKER, own, self.folder / f"{name}.log")
        return process, Life(process.pid)

    def start_both(self) -> None:
        living, self.living = self.start("living")
        killed, life = self.start("killed-0")
        self.processes = [living, killed]
        self.killed = [life]

    async def kill(self) -> None:
        """`kill -9`, see that its children end, and start another in its place."""
        victim = self.processes[1]
        children = psutil.Process(victim.pid).children(recursive=True)
        self.kills_s.append(time.time())
        victim.kill()
        self.processes[1], life = self.start(f"killed-{len(self.killed)}")
        self.killed.append(life)
        _, left = await asyncio.to_thread(psutil.wait_procs, children, CHILDREN_END_S)
        self.orphans += len(left)

    async def kill_every(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.kill()

    async def watch(self) -> None:
        """Take samples until cancelled; fail when a worker ends by itself."""
        async with open_reader(client_settings(self.settings)) as reader:
            while True:
                lives = (self.living, self.killed[-1])
                for process, life in zip(self.processes, lives, strict=True):
                    process.check()
                    if (seen := sample(process, time.time())) is not None:
                        life.samples.append(seen)
                self.lag.append((time.time(), await self.answers.waiting(reader)))
                await asyncio.sleep(SAMPLE_EVERY_S)

    async def until_all_answered(self, shown_as: str) -> None:
        """Wait until no tick waits, as long as ever fewer do."""
        async with open_reader(client_settings(self.settings)) as reader:
            first = least = await self.answers.waiting(reader)
            since = time.monotonic()
            with progress() as shown:
                task = shown.add_task(shown_as, total=first)
                while (waiting := await self.answers.waiting(reader)) > 0:
                    if waiting < least:
                        least, since = waiting, time.monotonic()
                    elif time.monotonic() - since > DEADLINE_S:
                        return
                    shown.update(task, completed=first - waiting)
                    await asyncio.sleep(0.5)

    def end(self) -> None:
        for process in self.processes:
            process.end()


def one_a_partition(partitions: int) -> list[str]:
    """A symbol for each partition, so that both workers have some."""
    numbers = list(range(partitions))
    partition_of = DefaultPartitioner()
    by_partition = {
        partition_of(name.encode(), numbers, numbers): name
        for name in symbol_names(20 * partitions)
    }
    return [by_partition[number] for number in numbers]


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
    """History, then the steady rate. Returns the figures and the curves."""
    with broker_of_choice() as broker:
        settings = settings_for(
            broker,
            folder,
            topics_file(folder, {}, "soak."),
            retrain_interval_hours=given.every / 3600,
            # On a busy machine a retrain takes long: that is measured here, and not broken off.
            retrain_deadline_seconds=max(120.0, given.every),
            min_training_bars=8640,
        )
        symbols = one_a_partition(load_topics(settings.topics_file).ticks.partitions)
        month = month_ticks(chosen.data)
        history = [replace(tick, symbol=symbol) for symbol in symbols for tick in month]
        async with (
            topics_of(settings) as topics,
            open_reader(client_settings(settings)) as predictions,
        ):
            run = Run(settings, folder, Answers(topics))
            following = asyncio.create_task(run.answers.follow(predictions))
            run.start_both()
            try:
                await send(settings, history, "sending a month of each symbol")
                await run.until_all_answered("the workers answer")
                sent = await disturbed(run, given, topics, symbols, month[-1])
                await run.until_all_answered("the last ones are answered")
                async with open_reader(client_settings(settings)) as reader:
                    lost = await run.answers.waiting(reader)
                    await retrains_of(reader, topics, (run.living, *run.killed))
            finally:
                run.end()
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        return {
            "broker": broker.name,
            "ticks_per_second": given.rate,
            "symbols": len(symbols),
            "sent": len(history) + sent,
            "lost": lost,
            "predictions": run.answers.predictions,
            "kills_s": run.kills_s,
            "orphans": run.orphans,
            "living": plain([run.living])[0],
            "killed": plain(run.killed),
            "lag": {"at_s": [at for at, _ in run.lag], "ticks": [count for _, count in run.lag]},
            "levels": {
                name: asdict(level)
                for name, level in levels(run.living, run.lag).items()
                if level is not None
            },
        }


async def disturbed(
    run: Run, given: argparse.Namespace, topics: Topics, symbols: Sequence[str], last: Tick
) -> int:
    """Send ticks for the given time, killing and watching; returns how many were sent."""
    count = int(given.rate * given.minutes * 60)
    ticks = itertools.islice(endless(symbols, last.ts + 1000, last.price, given.rate), count)

    async def feed() -> int:
        with progress() as shown:
            task = shown.add_task(f"{given.rate} ticks a second", total=count)
            async with connected_producer(run.settings) as producer:
                report = await produce(
                    ticks,
                    producer=producer,
                    topic=topics.ticks.name,
                    pace=Pace(Speed(per_second=given.rate)),
                    on_progress=lambda done, _ts: shown.update(task, completed=done),
                )
        return report.ticks

    feeding = asyncio.create_task(feed())
    others = [asyncio.create_task(work) for work in (run.kill_every(given.kill_every), run.watch())]
    try:
        await asyncio.wait([feeding, *others], return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            if other.done():
                other.result()  # raises: a worker has ended
        return await feeding
    finally:
        for task in (feeding, *others):
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def table(result: dict[str, Any]) -> Table:
    """How each figure of the worker that lived through the run went."""
    out = Table(title="The worker that was not killed", title_justify="left")
    for name in ("", "least", "median", "most", "an hour", "over the run"):
        out.add_column(name, justify="right")
    for name, item in result["levels"].items():
        level = Level(**item)
        figures = (level.least, level.median, level.most)
        out.add_row(
            name,
            *(f"{value:,.4g}" for value in figures),
            f"{level.per_hour:+,.3g}",
            f"{level.change:+.1%}",
        )
    return out


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, help="of the steady rate")
    parser.add_argument("--rate", type=int, default=500, help="ticks a second, all symbols")
    parser.add_argument("--every", type=float, default=300.0, help="seconds between retrains")
    parser.add_argument("--kill-every", type=float, default=600.0, help="seconds between kills")


async def run(chosen: Options, given: argparse.Namespace) -> None:
    given.minutes = given.minutes or (10.0 if chosen.quick else 120.0)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        result = await soak(chosen, given, Path(folder))
    show(
        table(result),
        f"{result['lost']:,} of {result['sent']:,} ticks lost; {len(result['kills_s'])} kills, "
        f"{result['orphans']} processes left behind; level: at most {LIMIT:.0%} over the run",
    )
    save(chosen, {"limit": LIMIT, **result})


if __name__ == "__main__":
    asyncio.run(run(*options(__doc__, add=add)))
