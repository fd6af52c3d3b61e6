"""How long symbols wait while partitions are added, against what `topics apply` prints beforehand.

One worker answers ticks of all symbols at a steady rate. Then the ticks topic and its twins get
one more partition, and more than half of the symbols move, with their bars. Each tick's wait is
from its own append to that of its first answer, both by the broker's clock. Of the others, those
that share their partition with an arriving symbol are shown separately.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import yaml
from harness import Options, console, log_folder, options, save, show
from no_pause import CALM_S, waits
from prices import symbol_names
from processes import WORKER, Process
from rich.table import Table
from steady_feed import Feed
from world import broker_of_choice, settings_without_training, topics_file, topics_of, with_history

from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics, apply_topics, load_topics
from stream_app.kafka.topics import CO_PARTITIONED
from stream_app.kafka.widening import plan_widening
from stream_app.moving.pace import measured_pace
from stream_app.settings import Settings
from stream_app.worker.lag import LOOK_EVERY_S

BEFORE: Final = 2
AFTER: Final = 3
SETTLED_S: Final = 3.0
"""Without another symbol that comes."""


def with_more(settings: Settings) -> Topics:
    """topics.yaml as an operator edits it."""
    content = yaml.safe_load(settings.topics_file.read_text())
    for topic in content["topics"].values():
        if topic["role"] in CO_PARTITIONED:
            topic["partitions"] = AFTER
    settings.topics_file.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_topics(settings.topics_file)


async def until_all_came(worker: Process, names: set[str]) -> None:
    """Wait until the log says that each of the symbols has come."""
    async with asyncio.timeout(1800):
        while not all(_came(worker.text(), name) for name in names):
            worker.check()
            await asyncio.sleep(0.5)
    await asyncio.sleep(SETTLED_S)


def _came(text: str, name: str) -> bool:
    return any(" came " in line and name in line for line in text.splitlines())


def longest(found: list[dict[str, Any]]) -> float:
    return max((item["wait"] for item in found), default=0) / 1000


async def measure(chosen: Options, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    days = given.days or (2 if chosen.quick else 30)
    names = symbol_names(given.symbols or 12)
    with broker_of_choice() as broker:
        file = topics_file(folder, {}, "", partitions=BEFORE)
        settings = settings_without_training(broker, folder, file, days=days)
        async with topics_of(settings):
            first, now = await with_history(settings, names)
            worker = Process(WORKER, settings, folder / "worker.log")
            try:
                await worker.until("Worker started")
                for number in range(BEFORE):
                    await worker.until(f"partition {number}: restored")
                topic = load_topics(settings.topics_file).ticks.name
                # It hears of new partitions as any producer, but sooner than after 5 minutes.
                feed = Feed(settings, topic, names, 100.0, now, metadata_max_age_ms=2_000)
                flow = asyncio.create_task(feed.run(1800.0))
                await asyncio.sleep(CALM_S)
                topics = with_more(settings)
                plan = await plan_widening(topics, client_settings(settings), settings.window_bars)
                assert plan is not None
                pace = await measured_pace(topics, client_settings(settings), settings, plan)
                console.print(*plan.lines(pace.pause_s(plan, noticed_s=LOOK_EVERY_S)), sep="\n")
                began = time.time_ns() // 1_000_000
                await apply_topics(topics, client_settings(settings))
                await until_all_came(worker, set(plan.moving))
                feed.stop()
                await flow
                await asyncio.sleep(CALM_S)
            finally:
                worker.end()
            found, lost = await waits(settings, topics, first)
    here = [item for item in found if item["at"] >= began]
    got = {way[1] for way in plan.moving.values()}
    moved = [item for item in here if item["symbol"] in plan.moving]
    others = [item for item in here if item["symbol"] not in plan.moving]
    return {
        "symbols": len(names),
        "days": days,
        "moving": {name: list(way) for name, way in plan.moving.items()},
        "stated_s": pace.pause_s(plan, noticed_s=LOOK_EVERY_S),
        "pace": asdict(pace),
        "moved_s": longest([item for item in moved if item["partition"] in got]),
        "beside_them_s": longest([item for item in others if item["partition"] in got]),
        "others_s": longest([item for item in others if item["partition"] not in got]),
        "sent": feed.sent,
        "lost": lost,
    }


def main() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--symbols", type=int, help="how many; 12")
        parser.add_argument("--days", type=int, help="of history; 30, or 2 with --quick")
        parser.add_argument("--keep", action="store_true", help="keep the worker's log")

    chosen, given = options(__doc__, add=add)
    if not os.environ.get("KAFKA_HOME"):
        raise SystemExit("KAFKA_HOME is not set: the embedded broker cannot add partitions")
    with log_folder("widening", keep=given.keep) as folder:
        result = asyncio.run(measure(chosen, given, folder))
    table = Table(title="Longest wait while partitions are added [s]", title_justify="left")
    for name in ("stated", "of those that moved", "beside them", "of the others"):
        table.add_column(name, justify="right")
    table.add_row(
        *(f"{result[name]:.2f}" for name in ("stated_s", "moved_s", "beside_them_s", "others_s"))
    )
    show(table, f"{result['sent']} ticks sent, {result['lost']} not answered")
    save(chosen, result)


if __name__ == "__main__":
    main()
