"""How long symbols wait for answers while workers leave, die and join.

Three workers form a group. Ticks arrive at a steady rate. Then all three are restarted in turn, one
is killed with `kill -9`, and one is added. Each tick's wait is from its own append to that of its
first answer, both by the broker's clock. A symbol's longest wait in a phase is its pause.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from aiokafka import TopicPartition
from harness import Options, console, log_folder, options, save, show
from prices import symbol_names
from processes import WORKER, Process
from rich.table import Table
from steady_feed import Feed
from world import broker_of_choice, settings_without_training, topics_file, topics_of, with_history

from stream_app.brokers.process import free_ports
from stream_app.kafka.connection import client_settings
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics
from stream_app.settings import Settings

WORKERS: Final = 3
PARTITIONS: Final = 6
CALM_S: Final = 10.0
"""Of undisturbed work before each phase, so that its first wait is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One thing that happens to the group."""

    name: str
    began_ms: int
    ended_ms: int
    moved: frozenset[int]
    """The partitions that another worker has at the end, or had in between."""


class Group:
    """The workers, with one DATA_DIR, as on one machine."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._processes: dict[str, Process] = {}
        self._ports: dict[str, int] = {}
        self.seen: set[tuple[str, int]] = set()
        """Worker and partition, as the workers say while it is looked."""

    def start(self, name: str) -> None:
        port = self._ports[name] = free_ports(1)[0]
        settings = self._settings.model_copy(update={"web_port": port})
        log = self._folder / f"{name}-{time.time():.0f}.log"
        self._processes[name] = Process(WORKER, settings, log)

    def signal(self, name: str, number: int) -> None:
        os.kill(self._processes[name].pid, number)

    def forget(self, name: str) -> None:
        self._processes.pop(name).end()
        self._ports.pop(name)

    def end(self) -> None:
        for process in self._processes.values():
            process.end()

    async def _statuses(self) -> dict[str, Any]:
        found = {}
        async with aiohttp.ClientSession() as session:
            for name, port in self._ports.items():
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/status") as response:
                        found[name] = await response.json()
        return found

    async def owners(self) -> dict[int, str]:
        """By partition, which worker says that it has it and is ready."""
        found: dict[int, str] = {}
        for name, status in (await self._statuses()).items():
            if status["ready"]:
                found |= dict.fromkeys(status["partitions"], name)
        self.seen |= {(name, number) for number, name in found.items()}
        return found

    async def settled(self) -> dict[int, str]:
        """Wait until all partitions are answered, evenly, by all workers; who has which."""
        async with asyncio.timeout(600):
            while True:
                for process in self._processes.values():
                    process.check()
                owners = await self.owners()
                counts = [list(owners.values()).count(name) for name in self._processes]
                if len(owners) == PARTITIONS and max(counts) - min(counts) <= 1:
                    return owners
                await asyncio.sleep(0.1)

    async def stood_by(self) -> None:
        """Wait until each partition has a worker that could take it over at once."""
        async with asyncio.timeout(600), aiohttp.ClientSession() as session:
            while True:
                warm = 0.0
                for port in self._ports.values():
                    async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                        found = re.search(
                            r"^stream_app_standby_partitions (\S+)", await response.text(), re.M
                        )
                        warm += float(found[1]) if found else 0.0
                if warm >= PARTITIONS:
                    return
                await asyncio.sleep(0.2)


async def phases(group: Group) -> list[Phase]:
    """Let it all happen, one after the other."""
    done = []

    async def phase(name: str, change: Any) -> None:
        console.print(name)
        await asyncio.sleep(CALM_S)
        before = await group.settled()
        group.seen = {(owner, number) for number, owner in before.items()}
        began = time.time_ns() // 1_000_000
        await change()
        await group.settled()
        await asyncio.sleep(2.0)
        ended = time.time_ns() // 1_000_000
        moved = {n for name, n in group.seen if name != before[n]}
        done.append(Phase(name=name, began_ms=began, ended_ms=ended, moved=frozenset(moved)))

    async def undisturbed() -> None:
        await asyncio.sleep(CALM_S)

    async def rolling() -> None:
        for number in range(WORKERS):
            name = f"w{number}"
            await asyncio.to_thread(group.forget, name)
            group.start(name)
            await group.settled()
            await group.stood_by()

    async def killed() -> None:
        group.signal("w0", signal.SIGKILL)
        group.forget("w0")
        await group.settled()

    async def added() -> None:
        group.start("w3")
        await group.settled()

    await phase("undisturbed", undisturbed)
    await phase("rolling restart", rolling)
    await phase("kill -9", killed)
    await phase("a worker added", added)
    return done


async def waits(
    settings: Settings, topics: Topics, first: Mapping[int, int]
) -> tuple[list[dict[str, Any]], int]:
    """Of each live tick: symbol, partition, when it came, how long it waited; and how many lack."""
    found: list[dict[str, Any]] = []
    lost = 0
    async with open_reader(client_settings(settings)) as reader:
        for number in range(topics.ticks.partitions):
            answers: dict[int, tuple[int, dict[str, Any]]] = {}
            async for record in read_range(
                reader, TopicPartition(topics.predictions.name, number), 0, None
            ):
                message = orjson.loads(record.value)
                answers.setdefault(message["source"]["offset"], (record.timestamp, message))
            async for record in read_range(
                reader, TopicPartition(topics.ticks.name, number), first.get(number, 0), None
            ):
                answered = answers.get(record.offset)
                if answered is None:
                    lost += 1
                    continue
                at, message = answered
                found.append(
                    {
                        "symbol": message["symbol"],
                        "partition": number,
                        "at": record.timestamp,
                        "wait": at - record.timestamp,
                        "alone": len(message["members"]) < 4,
                        "degraded": tuple(message["degraded"]),
                    }
                )
    return found, lost


def figures(phase: Phase, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one phase: pauses in seconds, and answers that were less than they should be."""
    here = [item for item in found if phase.began_ms <= item["at"] <= phase.ended_ms]

    def pause(moved: bool) -> float:
        return (
            max(
                (item["wait"] for item in here if (item["partition"] in phase.moved) is moved),
                default=0,
            )
            / 1000
        )

    reasons = {reason for item in here for reason in item["degraded"]}
    longest = max(here, key=lambda item: item["wait"], default=None)
    return {
        "ticks": len(here),
        "longest": None
        if longest is None
        else {
            "symbol": longest["symbol"],
            "partition": longest["partition"],
            "began": datetime.fromtimestamp(longest["at"] / 1000, UTC).isoformat(),
            "wait_s": longest["wait"] / 1000,
        },
        "longest_pause_moved_s": pause(moved=True),
        "longest_pause_others_s": pause(moved=False),
        "moved_partitions": len(phase.moved),
        "without_all_models": sum(item["alone"] for item in here),
        "degraded": {
            reason: sum(reason in item["degraded"] for item in here) for reason in sorted(reasons)
        },
    }


async def measure(chosen: Options, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    days = 4 if chosen.quick else 30
    names = symbol_names(given.symbols or (12 if chosen.quick else 60))
    per_second = 300.0 if chosen.quick else 1000.0
    with broker_of_choice() as broker:
        file = topics_file(folder, {}, "", partitions=PARTITIONS)
        settings = settings_without_training(broker, folder, file, days=days)
        async with topics_of(settings) as topics:
            first, now = await with_history(settings, names)
            group = Group(settings, folder)
            feed = Feed(settings, topics.ticks.name, names, per_second, now)
            for number in range(WORKERS):
                group.start(f"w{number}")
            await group.settled()
            flow = asyncio.create_task(feed.run(1800.0))
            try:
                done = await phases(group)
            finally:
                feed.stop()
                await flow
                await asyncio.sleep(CALM_S)
                await asyncio.to_thread(group.end)
            found, lost = await waits(settings, topics, first)
    return {
        "symbols": len(names),
        "days": days,
        "ticks_per_second": per_second,
        "session_timeout_s": settings.kafka_session_timeout_seconds,
        "sent": feed.sent,
        "lost": lost,
        "phases": {phase.name: figures(phase, found) for phase in done},
    }


def main() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--symbols", type=int, help="how many; 60, or 12 with --quick")
        parser.add_argument("--keep", action="store_true", help="keep the workers' logs")

    chosen, given = options(__doc__, add=add)
    with log_folder("no-pause", keep=given.keep) as folder:
        result = asyncio.run(measure(chosen, given, folder))
    table = Table(title="Longest pause of any symbol [s]", title_justify="left")
    for name in ("", "moved", "others", "partitions moved", "not by all models"):
        table.add_column(name, justify="right" if name else "left")
    for name, item in result["phases"].items():
        table.add_row(
            name,
            f"{item['longest_pause_moved_s']:.2f}",
            f"{item['longest_pause_others_s']:.2f}",
            str(item["moved_partitions"]),
            str(item["without_all_models"]),
        )
    show(table, f"{result['sent']} ticks sent, {result['lost']} not answered")
    save(chosen, result)


if __name__ == "__main__":
    main()
