"""What a tick costs the workers and the broker, and whether more workers answer more in proportion.

Workers answer a backlog of live ticks with all four models. While it is sent they are stopped
(SIGSTOP), so that all of them begin at once, with the partitions assigned. One core is for the
broker and the harness, the other one for the workers:

- one worker alone: processor time of worker and broker for a tick, and bytes on each topic;
- one, two and four workers with a quarter of the core each, the other quarters taken by processes
  that only count: the rate should be in proportion to the workers;
- then four workers and the broker on both cores, whose rate `capacity_model.py` must predict.

Needs Apache Kafka (KAFKA_HOME), Linux, and two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from capacity_model import Costs, need, ticks_per_second
from harness import Options, console, options, ratios, save, show, spread, spread_table
from prices import jobs_for, live_ticks, month_pipeline, plain_settings, symbol_names, warm_pool
from processes import DEADLINE_S, WORKER, Process, until_answered
from rich.table import Table
from throughput import history_ticks, rate
from tick_cost import copy_window, loaded, resident_mib
from world import (
    TOPICS_YAML,
    broker_of_choice,
    commit,
    digest,
    publish_models,
    send,
    settings_without_training,
    topics_file,
    topics_of,
)

from stream_app.bars.features import BarColumns
from stream_app.brokers import Broker
from stream_app.brokers.process import free_ports
from stream_app.kafka.topic_check import Topics, load_topics
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.settings import Settings
from stream_app.training.job import TrainedModel

PARTITIONS: Final = 4
BROKER_CORE: Final = 0
WORKER_CORE: Final = 1
SHARES: Final = 4
LIMIT: Final = 0.2
"""How far the model may be from what four workers do."""
STEP_S: Final = 0.1
COUNTER: Final = "while True: pass"
SYMBOLS: Final = 50_000
TICKS_S: Final = 1e6
"""Of the example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How the cores are given out."""

    workers: int
    counting: int
    """Processes that take the shares of workers that are not there."""
    is_pinned: bool = True


CASES: Final = {
    "one worker, a core": Case(workers=1, counting=0),
    "1 worker, a quarter of a core": Case(workers=1, counting=3),
    "2 workers, a quarter each": Case(workers=2, counting=2),
    "4 workers, a quarter each": Case(workers=4, counting=0),
    "4 workers and the broker, both cores": Case(workers=4, counting=0, is_pinned=False),
}
ALONE, ONE, *MORE, FOUR = CASES


def pin(process: psutil.Process, cores: Sequence[int]) -> None:
    """Keep a process, with all of its threads, on these cores."""
    for thread in process.threads():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread.id, cores)


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """Processor time that they have used."""
    return sum(sum(item.cpu_times()[:2]) for item in processes)


def log_bytes(broker: psutil.Process, topics: Topics) -> Counter[str]:
    """By role, the bytes of the topics' logs on the broker's disk."""
    roles = {spec.name: spec.role for spec in topics.specs}
    found: Counter[str] = Counter()
    for file in broker.open_files():
        path = Path(file.path)
        topic = path.parent.name.rpartition("-")[0]
        if path.suffix == ".log" and topic in roles:
            found[roles[topic]] += path.stat().st_size
    return found


@contextlib.contextmanager
def counting(processes: int) -> Iterator[None]:
    """Processes that take their shares of the workers' core, in sessions of their own."""
    started = [
        subprocess.Popen([sys.executable, "-c", COUNTER], start_new_session=True)
        for _ in range(processes)
    ]
    try:
        for item in started:
            pin(psutil.Process(item.pid), [WORKER_CORE])
        yield
    finally:
        for item in started:
            item.kill()
            item.wait()


async def until_shared(
    workers: Sequence[Process], ports: Sequence[int], *, partitions: int = PARTITIONS
) -> None:
    """Wait until the workers are ready and have the partitions evenly."""
    async with asyncio.timeout(DEADLINE_S), aiohttp.ClientSession() as session:
        while True:
            counts = []
            for worker, port in zip(workers, ports, strict=True):
                worker.check()
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/status") as response:
                        status = await response.json()
                        counts.append(len(status["partitions"]) if status["ready"] else 0)
            if counts == [partitions // len(workers)] * len(workers):
                return
            await asyncio.sleep(STEP_S)


class Bench:
    """A broker with history, and cases that are run on it."""

    def __init__(self, broker: Broker, folder: Path, symbols: Sequence[str]) -> None:
        self._broker = broker
        self._folder = folder
        self._symbols = symbols
        (self._broker_process,) = (
            child for child in psutil.Process().children() if child.name() == "java"
        )
        self._number = 0

    def settings(self, topics: Path, **overrides: Any) -> Settings:
        return settings_without_training(
            self._broker,
            self._folder,
            topics,
            kafka_session_timeout_seconds=30.0,
            **overrides,
        )

    async def run(self, case: Case, history: Any, backlog: int) -> dict[str, Any]:
        """A new set of topics, with history; the workers answer a backlog on it."""
        self._number += 1
        file = topics_file(self._folder, {}, f"c{self._number}.", partitions=PARTITIONS)
        settings = self.settings(file)
        async with topics_of(settings) as topics:
            await send(settings, history, "history")
            await commit(settings, await digest(settings))
            ports = free_ports(case.workers)
            logs = [self._folder / f"{self._number}-{port}.log" for port in ports]
            cores = [WORKER_CORE] if case.is_pinned else [BROKER_CORE, WORKER_CORE]
            workers = [
                Process(WORKER, settings.model_copy(update={"web_port": port}), log, session=True)
                for port, log in zip(ports, logs, strict=True)
            ]
            try:
                await until_shared(workers, ports)
                pin(self._broker_process, [BROKER_CORE] if case.is_pinned else cores)
                for worker in workers:
                    pin(psutil.Process(worker.pid), cores)
                with counting(case.counting):
                    return await self._answered(topics, settings, workers, history, backlog)
            finally:
                for worker in workers:
                    await asyncio.to_thread(worker.end)

    async def _answered(
        self,
        topics: Topics,
        settings: Settings,
        started: Sequence[Process],
        history: Any,
        backlog: int,
    ) -> dict[str, Any]:
        workers = [psutil.Process(item.pid) for item in started]
        ticks = live_ticks(
            self._symbols,
            start_ms=history[-1].ts + 60_000,
            interval_ms=1000,
            count=backlog,
            price=history[-1].price,
        )
        before = log_bytes(self._broker_process, topics)
        for item in workers:
            item.send_signal(signal.SIGSTOP)
        await send(settings, ticks, "backlog")
        used = [cpu_s(workers), cpu_s([self._broker_process])]
        for item in workers:
            item.send_signal(signal.SIGCONT)
        await until_answered(settings, topics, backlog, started[0])
        after = [cpu_s(workers), cpu_s([self._broker_process])]
        grown = log_bytes(self._broker_process, topics) - before
        ticks_s, lacking = await rate(settings, topics.predictions)
        if lacking:
            raise RuntimeError(f"{lacking} of the sampled predictions lack a member")
        return {
            "ticks_s": ticks_s,
            "worker_us": (after[0] - used[0]) / backlog * 1e6,
            "broker_us": (after[1] - used[1]) / backlog * 1e6,
            "bytes": {role: size / backlog for role, size in sorted(grown.items())},
            "worker_mib": max(item.memory_info().rss for item in workers) / 2**20,
        }


def trained_once(
    bars: BarColumns, settings: Settings
) -> tuple[dict[str, TrainedModel], float, float]:
    """The four models, the processor time that they took, and the MiB of a pool's process."""
    with warm_pool() as pool:
        jobs = jobs_for(bars, settings)
        list(pool.run_all(jobs))  # what a process does once only
        processes = psutil.Process().children()
        before = cpu_s(processes)
        trained = {model.name: model for model in pool.run_all(jobs)}
        used = cpu_s(processes) - before
        return trained, used, max(item.memory_info().rss for item in processes) / 2**20


def symbol_mib(
    source: SymbolPipeline, trained: dict[str, TrainedModel], settings: Settings, count: int
) -> float:
    """The memory of a symbol with a full window and its own four models."""
    partition = PartitionPipeline(PredictionSettings.of(settings))
    before = resident_mib()
    for name in symbol_names(count):
        target = partition.pipeline_of(name)
        copy_window(source, target)
        target.models = loaded(trained, settings, 0)
    return (resident_mib() - before) / count


def example(costs: Costs, topics: Topics) -> Table:
    """What a large load takes, by the model."""
    day_ms = 86_400_000
    days = {
        str(spec.role): float(spec.configs["retention.ms"]) / day_ms
        for spec in topics.specs
        if "retention.ms" in spec.configs
    }
    found = need(costs, symbols=SYMBOLS, ticks_s=TICKS_S, retention_days=days)
    table = Table(title=f"{SYMBOLS:,} symbols, {TICKS_S:,.0f} ticks/s", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in asdict(found).items():
        table.add_row(name, f"{value:,.0f}")
    return table


async def measure(chosen: Options, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    backlog = given.ticks or (40_000 if chosen.quick else 120_000)
    settings = plain_settings()
    source = month_pipeline(chosen.data, settings)
    bars = source.window.columns()
    console.print("training the models")
    trained, training_core_s, process_mib = trained_once(bars, settings)
    memory = symbol_mib(source, trained, settings, 50 if chosen.quick else 300)
    symbols = symbol_names(given.symbols)
    history = history_ticks(chosen.data, symbols)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CASES}
    with broker_of_choice() as broker:
        bench = Bench(broker, folder, symbols)
        publish_models(bench.settings(topics_file(folder, {}, "")), symbols, trained, bars)
        for turn in range(chosen.rounds):
            for name, case in CASES.items():
                console.print(f"round {turn + 1}: {name}")
                found[name].append(await bench.run(case, history, backlog))
    alone = found[ALONE]
    roles = alone[0]["bytes"]
    costs = Costs(
        worker_us=statistics.median(item["worker_us"] for item in alone),
        broker_us=statistics.median(item["broker_us"] for item in alone),
        training_core_s=training_core_s,
        symbol_mib=memory,
        worker_mib=statistics.median(item["worker_mib"] for item in alone),
        process_mib=process_mib,
        tick_bytes={
            role: statistics.median(item["bytes"][role] for item in alone) for role in roles
        },
    )
    return {
        "symbols": len(symbols),
        "ticks": backlog,
        "broker": broker.name,
        "costs": asdict(costs),
        "foretold_ticks_s": ticks_per_second(costs, cores=2),
        "cases": {
            name: {key: [item[key] for item in items] for key in items[0]}
            for name, items in found.items()
        },
    }


def report(result: Mapping[str, Any]) -> None:
    """Print what was found beside what it should be."""
    cases = result["cases"]
    rates = {name: spread(item["ticks_s"]) for name, item in cases.items()}
    used = {name: spread(item["worker_us"]) for name, item in cases.items()}
    one = cases[ONE]["ticks_s"]
    ideal = {
        name: ratios(cases[name]["ticks_s"], [CASES[name].workers * rate for rate in one])
        for name in MORE
    }
    foretold = result["foretold_ticks_s"]
    off = {FOUR: spread([foretold / rate for rate in cases[FOUR]["ticks_s"]])}
    topics = load_topics(TOPICS_YAML)
    costs = Costs(**result["costs"])
    show(
        f"{result['broker']}, {result['ticks']:,} ticks of {result['symbols']} symbols",
        spread_table("Answered", "ticks/s", rates, digits=0),
        spread_table("Processor time of the workers for a tick", "us", used, digits=1),
        spread_table("Beside as many times one worker's rate: 1 is ideal", "times", ideal),
        spread_table(f"The model's {foretold:,.0f} ticks/s beside it: 1 +/- {LIMIT}", "times", off),
        "\n".join(f"{name}: {value}" for name, value in asdict(costs).items()),
        example(costs, topics),
    )


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--symbols", type=int, default=40)
    parser.add_argument("--ticks", type=int, help="in the backlog")


def main() -> None:
    chosen, given = options(__doc__, add=add)
    if not os.environ.get("KAFKA_HOME"):
        raise SystemExit("KAFKA_HOME is not set: the bytes and times of another broker say nothing")
    with tempfile.TemporaryDirectory(prefix="capacity-") as folder:
        result = asyncio.run(measure(chosen, given, Path(folder)))
    report(result)
    save(chosen, result)


if __name__ == "__main__":
    main()
