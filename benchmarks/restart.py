"""How long a worker takes from the start of its process until it answers again.

The history is on the broker: each symbol's closed bars as a worker with four models publishes
them, each with its state, and a few ticks that are not answered yet. A worker starts, and is killed
once it has answered: with the copy on its disk that a first worker has made, and without one, in
turn. With `--before PATH`, another checkout takes turns on the same topics.

With `--workers 4`, so many share the symbols: memory, the restart of one, a tick's processor time,
and the planned cycles of all of them side by side.

Needs Apache Kafka (KAFKA_HOME).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import psutil
from aiokafka import TopicPartition
from capacity import cpu_s, until_shared
from harness import Options, console, options, progress, save, show, spread, spread_table
from prices import CHUNK, SYMBOL, jobs_for, live_ticks, month_ticks, symbol_names
from processes import DEADLINE_S, WORKER, Process, until_answered
from tick_cost import TickRecord, loaded
from world import (
    broker_of_choice,
    commit,
    length,
    publish_models,
    send,
    settings_for,
    settings_without_training,
    topics_file,
    topics_of,
)

from stream_app.bars.features import BarColumns
from stream_app.brokers import Broker
from stream_app.brokers.process import free_ports
from stream_app.kafka.connection import client_settings
from stream_app.kafka.placement import partition_of
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics
from stream_app.messages.codec import decode_retrain_event, encode_bar
from stream_app.messages.schemas import Bar, Source, Tick
from stream_app.messages.ticks import encode_tick
from stream_app.models.model_set import ModelSet
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.recovery.local_copies import FOLDER
from stream_app.settings import Settings
from stream_app.training.job import TrainedModel, run_job

MOST_TICKS: Final = 20_000
"""In a partition of the history. With more bars than that, several name one tick as their source,
as after an end in order: what is read of them is the same."""
LOOK_S: Final = 0.01
TICKS_A_BAR: Final = 4
TICKS_EACH: Final = 10
"""Of each symbol, for the cost of a tick."""
CYCLES: Final = 2
"""Planned ones of each worker."""
CYCLES_S: Final = 600.0
COPIED: Final = 0.95
"""Of the bars: a copy is made anew once a twentieth of its bars has come."""
TRAINED: Final = 1500
"""Bars that the models are trained on; how long a restart takes does not depend on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """One symbol, as the history of every symbol is."""

    bars: Sequence[Bar]
    trained: dict[str, TrainedModel]
    columns: BarColumns


def month_of(chosen: Options, settings: Settings) -> Month:
    """Train models on the first days, and let them forecast all of the month."""
    ticks = month_ticks(chosen.data)[:: 20 // TICKS_A_BAR]
    records = [
        TickRecord("ticks", 0, offset, tick.ts, tick.symbol.encode(), encode_tick(tick))
        for offset, tick in enumerate(ticks)
    ]
    first, _ = answered(settings, records[: TRAINED * TICKS_A_BAR], None)
    columns = first.window.columns()
    console.print("training the models")
    trained = {job.model: run_job(job) for job in jobs_for(columns, settings)}
    models = loaded(trained, settings, int(columns.ts_open[0]))
    _, bars = answered(settings, records, models)
    return Month(bars=[bar for bar in bars if bar.ticks], trained=trained, columns=columns)


def answered(
    settings: Settings, records: Sequence[TickRecord], models: ModelSet | None
) -> tuple[SymbolPipeline, list[Bar]]:
    """One symbol after these ticks, and its bars."""
    partition = PartitionPipeline(PredictionSettings.of(settings))
    symbol = partition.pipeline_of(SYMBOL)
    if models is not None:
        symbol.models = models
    bars: list[Bar] = []
    with progress() as shown:
        for first in shown.track(range(0, len(records), CHUNK), description="ticks of a symbol"):
            bars += partition.process(records[first : first + CHUNK]).bars
    return symbol, bars


async def publish(
    settings: Settings,
    topics: Topics,
    bars: Sequence[Bar],
    names: Sequence[str],
    *,
    part: range,
    ends: dict[int, int],
) -> None:
    """Write a part of the history of all symbols.

    Args:
        settings: of the broker.
        topics: where to.
        bars: the whole history of one symbol.
        names: of the symbols.
        part: which of these bars.
        ends: the end of each partition of the ticks topic; kept up to date.
    """
    partitions = range(topics.ticks.partitions)
    groups: dict[int, list[str]] = {number: [] for number in partitions}
    for name in names:
        groups[partition_of(name.encode(), partitions)].append(name)
    with progress() as shown:
        task = shown.add_task("history", total=len(names) * len(part))
        async with connected_producer(settings) as producer:
            for number, group in groups.items():
                total = len(group) * len(bars)
                for at in part:
                    bar = bars[at]
                    for turn, name in enumerate(group):
                        offset = (at * len(group) + turn) * min(total, MOST_TICKS) // total
                        if offset == ends[number]:
                            tick = Tick(symbol=name, price=bar.close or 0.0, ts=bar.ts_last)
                            await producer.send(
                                topics.ticks.name,
                                encode_tick(tick),
                                key=name.encode(),
                                partition=number,
                            )
                            ends[number] += 1
                        source = Source(topic=topics.ticks.name, partition=number, offset=offset)
                        state = bar.state | {"floor": offset}
                        moved = replace(bar, symbol=name, source=source, state=state)
                        await producer.send(
                            topics.bars.name,
                            encode_bar(moved),
                            key=name.encode(),
                            partition=number,
                        )
                    shown.advance(task, len(group))
            await producer.flush()


async def until_ready(workers: Mapping[int, Process]) -> None:
    """Wait until the workers at these ports have restored all that they were given."""
    async with asyncio.timeout(DEADLINE_S), aiohttp.ClientSession() as session:
        for port, worker in workers.items():
            while True:
                worker.check()
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/health/ready") as response:
                        if response.status == 200:
                            break
                await asyncio.sleep(LOOK_S)


class Side(NamedTuple):
    """Of a comparison."""

    checkout: Path | None = None
    """Whose code runs; None for this one."""
    has_copy: bool = True


class Bench:
    """A broker with the history of so many symbols."""

    def __init__(self, broker: Broker, folder: Path, month: Month, names: Sequence[str]) -> None:
        self._broker = broker
        self._folder = folder
        self._month = month
        self._names = names
        self.partitions = 4
        self._number = 0
        self.ends: dict[int, int] = {}
        self._copies = folder

    def settings(self, **overrides: Any) -> Settings:
        """Of one run: a group and a predictions topic of its own, the same history."""
        self._number += 1
        file = topics_file(
            self._folder, {"predictions": f"r{self._number}."}, "", partitions=self.partitions
        )
        return settings_without_training(self._broker, self._folder, file, **overrides)

    async def prepare(self, bars: int, *, copied: float = 0.0) -> None:
        """Write the history and make the models.

        Args:
            bars: of each symbol.
            copied: once this share of them is written, a worker copies its windows to the disk.
        """
        settings = self.settings()
        publish_models(settings, self._names, self._month.trained, self._month.columns)
        kept, first = self._month.bars[-bars:], round(copied * bars)
        self.ends = dict.fromkeys(range(self.partitions), 0)
        async with topics_of(settings) as topics:
            for part in (range(first), range(first, bars)):
                await publish(settings, topics, kept, self._names, part=part, ends=self.ends)
                if part.stop and part.stop == first:
                    await self._copy()

    def pending(self, each: int = 1) -> list[Tick]:
        """Ticks of each symbol, just after the history."""
        last = self._month.bars[-1]
        return live_ticks(
            self._names,
            start_ms=last.ts_last + 60_000,
            interval_ms=1000,
            count=len(self._names) * each,
            price=last.close or 0.0,
        )

    async def _copy(self) -> None:
        """One worker works until it has copied all partitions to its disk."""
        settings = self.settings()
        async with topics_of(settings):
            await commit(settings, self.ends)
            worker = Process(WORKER, settings, self._folder / "copying.log")
            try:
                with console.status("a worker makes its copies"):
                    async with asyncio.timeout(DEADLINE_S):
                        while worker.text().count("is on this disk") < self.partitions:
                            worker.check()
                            await asyncio.sleep(LOOK_S)
            finally:
                worker.kill()
            self._copies = settings.data_dir / FOLDER

    async def restart(self, side: Side) -> dict[str, float]:
        """One worker starts, restores all, answers, and is killed."""
        aside = self._copies.with_name("aside")
        if not side.has_copy:
            self._copies.rename(aside)
        try:
            return await self._restart(side.checkout)
        finally:
            if not side.has_copy:
                shutil.rmtree(self._copies, ignore_errors=True)
                aside.rename(self._copies)

    async def _restart(self, checkout: Path | None) -> dict[str, float]:
        (port,) = free_ports(1)
        settings = self.settings(web_port=port)
        async with topics_of(settings) as topics, open_reader(client_settings(settings)) as reader:
            await commit(settings, self.ends)
            log = self._folder / f"{self._number}.log"
            began = time.perf_counter()
            worker = Process(WORKER, settings, log, checkout=checkout)
            try:
                await until_ready({port: worker})
                ready_s = time.perf_counter() - began
                async with asyncio.timeout(DEADLINE_S):
                    while not await length(reader, topics.predictions):  # noqa: ASYNC110 - no event
                        await asyncio.sleep(LOOK_S)
                answered_s = time.perf_counter() - began
                used = psutil.Process(worker.pid)
                times = used.cpu_times()
                return {
                    "ready_s": ready_s,
                    "answered_s": answered_s,
                    "cpu_s": times.user + times.system,
                    "mib": used.memory_info().rss / 2**20,
                }
            finally:
                worker.kill()


async def restarts(
    chosen: Options, given: argparse.Namespace, broker: Broker, folder: Path, month: Month
) -> dict[str, Any]:
    """One worker, now and before in turn."""
    bench = Bench(broker, folder, month, symbol_names(given.symbols))
    await bench.prepare(given.bars, copied=COPIED)
    await send(bench.settings(), bench.pending(), "ticks to answer")
    sides = {"with a copy": Side(), "without one": Side(has_copy=False)}
    if given.before:
        sides["before"] = Side(given.before.resolve(), has_copy=False)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for turn in range(chosen.rounds):
        for name, side in list(sides.items())[:: -1 if turn % 2 else 1]:
            console.print(f"round {turn + 1}: {name}")
            found[name].append(await bench.restart(side))
    return {
        name: {key: [item[key] for item in items] for key in items[0]}
        for name, items in found.items()
    }


async def shared(
    given: argparse.Namespace, broker: Broker, folder: Path, month: Month
) -> dict[str, Any]:
    """Several workers share the symbols, a partition each, without standbys."""
    bench = Bench(broker, folder, month, symbol_names(given.symbols))
    bench.partitions = given.workers
    await bench.prepare(given.bars)
    settings = bench.settings(standbys=0)
    ticks = bench.pending(TICKS_EACH)
    async with topics_of(settings) as topics:
        await commit(settings, bench.ends)
        with started(settings, folder, given.workers) as workers:
            began = time.perf_counter()
            await until_shared(list(workers.values()), list(workers), partitions=given.workers)
            found: dict[str, Any] = {"start_s": time.perf_counter() - began}
            used = [psutil.Process(worker.pid) for worker in workers.values()]
            found["mib"] = [item.memory_info().rss / 2**20 for item in used]
            before = cpu_s(used)
            await send(settings, ticks, "ticks")
            await until_answered(settings, topics, len(ticks), next(iter(workers.values())))
            found["us_a_tick"] = (cpu_s(used) - before) / len(ticks) * 1e6
            console.print("one worker starts again")
            port = next(iter(workers))
            await asyncio.to_thread(workers.pop(port).end)
            await until_ready(workers)
            began = time.perf_counter()
            workers[port] = worker_at(settings, folder, port)
            await until_shared(list(workers.values()), list(workers), partitions=given.workers)
            found["restart_of_one_s"] = time.perf_counter() - began
    found["cycles"] = await cycles(bench, folder, given)
    return found


async def cycles(bench: Bench, folder: Path, given: argparse.Namespace) -> list[float]:
    """The lengths of planned cycles while all workers train at once, each a symbol at a time."""
    settings = bench.settings(
        standbys=0, min_training_bars=200, retrain_interval_hours=0.01, retrain_target_seconds=1.0
    )
    console.print("planned cycles")
    found: list[float] = []
    async with topics_of(settings) as topics, open_reader(client_settings(settings)) as reader:
        await commit(settings, bench.ends)
        with started(settings, folder, given.workers) as workers:
            tp = TopicPartition(topics.retrain_events.name, 0)
            async with asyncio.timeout(CYCLES_S):
                while len(found) < CYCLES * given.workers:
                    await asyncio.sleep(1.0)
                    for worker in workers.values():
                        worker.check()
                    events = [
                        decode_retrain_event(record.value or b"")
                        async for record in read_range(reader, tp, 0, None)
                    ]
                    found = [
                        each.duration_seconds
                        for each in events
                        if each.state != "started" and each.plan
                    ]
    return found


def worker_at(settings: Settings, folder: Path, port: int) -> Process:
    """A worker whose pages are at this port, in a session of its own."""
    own = settings.model_copy(update={"web_port": port})
    return Process(WORKER, own, folder / f"{port}-{time.time():.0f}.log", session=True)


@contextlib.contextmanager
def started(settings: Settings, folder: Path, count: int) -> Iterator[dict[int, Process]]:
    """Workers by port, ended with the context."""
    workers = {port: worker_at(settings, folder, port) for port in free_ports(count)}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.kill()


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--bars", type=int, default=8640, help="of each symbol")
    parser.add_argument("--workers", type=int, help="that share the symbols")
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")


async def measure(chosen: Options, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    with broker_of_choice() as broker:
        month = month_of(chosen, settings_for(broker, folder, topics_file(folder, {}, "")))
        if given.workers:
            return await shared(given, broker, folder, month)
        return await restarts(chosen, given, broker, folder, month)


def main() -> None:
    chosen, given = options(__doc__, add=add)
    if not os.environ.get("KAFKA_HOME"):
        raise SystemExit("KAFKA_HOME is not set: the times of another broker say nothing")
    with tempfile.TemporaryDirectory(prefix="restart-") as folder:
        result = asyncio.run(measure(chosen, given, Path(folder)))
    save(
        chosen,
        {
            "symbols": given.symbols,
            "bars": given.bars,
            "workers": given.workers or 1,
            **result,
        },
    )
    if given.workers:
        show(*(f"{name}: {value}" for name, value in result.items()))
        return
    for key, unit, digits in (
        ("ready_s", "s", 1),
        ("answered_s", "s", 1),
        ("cpu_s", "s", 1),
        ("mib", "MiB", 0),
    ):
        rows = {name: spread(item[key]) for name, item in result.items()}
        show(spread_table(key, unit, rows, digits=digits))


if __name__ == "__main__":
    main()
