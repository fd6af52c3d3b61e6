"""Ticks a second from Kafka to Kafka with the full ensemble on every tick, ours and others.

Our worker, a plain Faust agent, a Quix Streams app and a hand-written aiokafka loop (sides.py)
answer the same backlog of ticks, of one symbol and of 100, one process at a time on the same
broker. The rate comes from the broker's append times of the predictions, without the first tenth.
Each symbol has a hundred bars of history. One model set, trained on the month, serves them all.
Every counted prediction has all four members.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from harness import HERE, Options, options, progress, ratios, save, show, spread, spread_table
from prices import live_ticks, month_bars, month_ticks, plain_settings, symbol_names, train
from processes import WORKER, Process, running
from world import (
    broker_of_choice,
    commit,
    digest,
    length,
    publish_models,
    send,
    settings_for,
    topics_file,
    topics_of,
)

from stream_app.brokers import Broker
from stream_app.kafka.connection import client_settings
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import TopicSpec
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings

SIDES_PY: Final = str(HERE / "sides.py")
SIDES: Final[dict[str, Sequence[str]]] = {
    "stream-app worker": WORKER,
    "plain Faust agent": (SIDES_PY, "faust"),
    "Quix Streams app": (SIDES_PY, "quix"),
    "aiokafka getmany loop": (SIDES_PY, "aiokafka"),
}
OURS: Final = "stream-app worker"
TARGETS: Final = {"plain Faust agent": 5.0, "Quix Streams app": 1.5}
HISTORY_BARS: Final = 100
TICKS_A_BAR: Final = 4
SKIPPED: Final = 0.1
"""Share of a run's predictions that are warm-up."""
FAST_S: Final = 12.0
"""A side that takes longer for the backlog is stopped; what it has answered counts."""


def history_ticks(data: Path, symbols: Sequence[str]) -> list[Tick]:
    """The month's first hundred five-minute bars, four ticks each, for every symbol."""
    picked = month_ticks(data)[: HISTORY_BARS * 20 : 20 // TICKS_A_BAR]
    return [replace(tick, symbol=symbol) for tick in picked for symbol in symbols]


async def rate(settings: Settings, topic: TopicSpec) -> tuple[float, int]:
    """Predictions a second by the broker's append times, and how many lack a member."""
    stamps: list[int] = []
    lacking = 0
    async with open_reader(client_settings(settings)) as reader:
        for number in range(topic.partitions):
            async for record in read_range(reader, TopicPartition(topic.name, number), 0, None):
                stamps.append(record.timestamp)
                if len(stamps) % 97 == 0:
                    lacking += len(orjson.loads(record.value)["members"]) < 4
    stamps.sort()
    first = int(len(stamps) * SKIPPED)
    seconds = (stamps[-1] - stamps[first]) / 1000
    return (len(stamps) - first - 1) / seconds, lacking


async def one_run(
    broker: Broker,
    folder: Path,
    *,
    prefix: str,
    number: int,
    command: Sequence[str],
    ends: Mapping[int, int],
    backlog: int,
) -> float:
    """One process answers the backlog, into its own predictions topic."""
    roles = {"predictions": f"{prefix}{number}.", "retrain_events": f"{prefix}{number}."}
    settings = settings_for(
        broker,
        folder,
        topics_file(folder, roles, prefix),
        # More bars than any symbol has, so that no retrain starts.
        min_training_bars=8000,
        model_max_age_hours=1e6,
    )
    async with topics_of(settings) as topics:
        await commit(settings, ends)
        log = folder / f"{prefix}{number}.log"
        async with open_reader(client_settings(settings)) as reader:
            with running(command, settings, log) as process:
                await _until_done(process, reader, topics.predictions, backlog)
            found, lacking = await rate(settings, topics.predictions)
        admin = AIOKafkaAdminClient(**client_settings(settings))
        await admin.start()
        try:
            await admin.delete_topics([topics.predictions.name, topics.retrain_events.name])
        finally:
            await admin.close()
    if lacking:
        raise RuntimeError(f"{command}: {lacking} of the sampled predictions lack a member")
    return found


async def _until_done(process: Process, reader: Any, topic: TopicSpec, backlog: int) -> None:
    began = None
    while (done := await length(reader, topic)) < backlog:
        process.check()
        now = time.monotonic()
        if done and began is None:
            began = now
        if began is not None and now - began > FAST_S:
            return
        await asyncio.sleep(0.25)


async def one_case(
    chosen: Options,
    broker: Broker,
    root: Path,
    *,
    count: int,
    backlog: int,
    sides: Mapping[str, Sequence[str]],
    trained: Any,
) -> dict[str, list[float]]:
    """All sides answer the same backlog of `count` symbols, interleaved."""
    symbols = symbol_names(count)
    prefix = f"s{count}."
    folder = root / prefix
    folder.mkdir()
    file = topics_file(folder, {}, prefix)
    settings = settings_for(broker, folder, file)
    history = history_ticks(chosen.data, symbols)
    models, bars = trained
    publish_models(settings, symbols, models, bars)
    async with topics_of(settings):
        await send(settings, history, f"{count} symbols: history")
        ends = await digest(settings)
        ticks = live_ticks(
            symbols,
            start_ms=history[-1].ts + 60_000,
            interval_ms=1000,
            count=backlog,
            price=history[-1].price,
        )
        await send(settings, ticks, f"{count} symbols: backlog")
    measured: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    with progress() as shown:
        task = shown.add_task("", total=chosen.rounds * len(names))
        number = 0
        for turn in range(chosen.rounds):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                shown.update(task, description=f"{count} symbols: {name}")
                number += 1
                measured[name].append(
                    await one_run(
                        broker,
                        folder,
                        prefix=prefix,
                        number=number,
                        command=sides[name],
                        ends=ends,
                        backlog=backlog,
                    )
                )
                shown.advance(task)
    return measured


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--symbols", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--ticks", type=int, help="in the backlog")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))


async def run(chosen: Options, given: argparse.Namespace) -> None:
    backlog = given.ticks or (40_000 if chosen.quick else 100_000)
    sides = {name: SIDES[name] for name in given.sides}
    settings = plain_settings()
    bars = month_bars(chosen.data, settings)
    trained = train(bars, settings)
    cases: dict[str, Any] = {}
    shown: list[Any] = []
    with broker_of_choice() as broker, tempfile.TemporaryDirectory(prefix="bench-") as root:
        shown.append(f"{broker.name}, {os.cpu_count()} cores, {backlog:,} ticks")
        for count in given.symbols:
            measured = await one_case(
                chosen,
                broker,
                Path(root),
                count=count,
                backlog=backlog,
                sides=sides,
                trained=(trained, bars),
            )
            spreads = {name: spread(values) for name, values in measured.items()}
            times = {
                name: ratios(measured[OURS], values)
                for name, values in measured.items()
                if name != OURS and OURS in measured
            }
            cases[str(count)] = {"ticks_per_second": spreads, "ours_over": times}
            named = f"{count} symbol{'s' * (count > 1)}"
            shown.append(spread_table(f"Kafka to Kafka, {named}", "ticks/s", spreads, digits=0))
            shown.append(spread_table(f"Ours over theirs, {named}", "times", times))
    show(*shown, f"targets: {TARGETS}")
    save(chosen, {"broker": broker.name, "ticks": backlog, "targets": TARGETS, "symbols": cases})


if __name__ == "__main__":
    asyncio.run(run(*options(__doc__, add=add)))
