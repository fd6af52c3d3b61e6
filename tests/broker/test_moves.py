"""Symbols go on where they belong when partitions are added: with their bars, states and models."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import yaml

from stream_app.kafka.connection import client_settings
from stream_app.kafka.placement import partition_of
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import apply_topics, load_topics
from stream_app.kafka.topics import CO_PARTITIONED, Topics
from stream_app.messages.codec import decode_bar
from stream_app.messages.schemas import Bar, Tick
from stream_app.messages.ticks import encode_tick
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.settings import Settings
from tests.builders import records, walk
from tests.conftest import SettingsFor, needs_kafka
from tests.figures import LONG, note
from tests.gated_moves import GATE
from tests.workers import (
    TRAINED_S,
    TRAINS_SOON,
    WorkerProcess,
    command,
    feed,
    read_all,
    read_until,
    read_while,
)

pytestmark = [
    pytest.mark.timeout(3600),
    # The embedded broker cannot add partitions.
    pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True),
]

COUNTS = (1, 2, 5)
HISTORY = 840
"""Ticks of a symbol before partitions are added: 210 bars."""
KILLS = 10 if LONG else 2
"""In each round."""
NAMES = [f"S{number}" for number in range(100)]
EACH = 40
"""Ticks of each symbol, before partitions are added and after."""


def way(symbol: str) -> tuple[int, ...]:
    """The partitions that a symbol belongs to, one after the other."""
    return tuple(partition_of(symbol.encode(), range(count)) for count in COUNTS)


def named(wanted: list[tuple[int, int, int]]) -> list[str]:
    """A symbol that goes each of these ways."""
    found: dict[tuple[int, ...], str] = {}
    for number in range(1000):
        found.setdefault(way(f"S{number}"), f"S{number}")
    return [found[each] for each in wanted]


SYMBOLS = named([(0, 0, 0), (0, 1, 0), (0, 1, 3), (0, 0, 4)])
"""One that stays, one that comes back, one that goes twice, one that goes at last."""


def with_partitions(settings: Settings, count: int) -> Topics:
    """topics.yaml as an operator edits it."""
    content = yaml.safe_load(settings.topics_file.read_text())
    for topic in content["topics"].values():
        if topic["role"] in CO_PARTITIONED:
            topic["partitions"] = count
    settings.topics_file.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_topics(settings.topics_file)


class Load:
    """Ticks of all symbols, each where a producer sends it that knows of all partitions."""

    def __init__(self, settings: Settings, count: int) -> None:
        self._settings = settings
        self.count = count
        """Of partitions."""
        self.sent: dict[str, list[Tick]] = {name: [] for name in SYMBOLS}
        self._streams = {
            name: walk(100_000, symbol=name, seed=number) for number, name in enumerate(SYMBOLS)
        }

    def next_ticks(self) -> Iterator[Tick]:
        for name, stream in self._streams.items():
            tick = next(stream)
            self.sent[name].append(tick)
            yield tick

    async def begin(self) -> None:
        ticks = [tick for _ in range(HISTORY) for tick in self.next_ticks()]
        await feed(self._settings, ticks)

    async def run(self) -> None:
        topic = load_topics(self._settings.topics_file).ticks.name
        async with connected_producer(self._settings) as producer:
            while True:
                for tick in self.next_ticks():
                    await self._send(producer, topic, tick)
                await asyncio.sleep(0.02)

    async def _send(self, producer: Any, topic: str, tick: Tick) -> None:
        key = tick.symbol.encode()
        partition = partition_of(key, range(self.count))
        while partition not in await producer.partitions_for(topic):
            await producer.client.force_metadata_update()
        await producer.send_and_wait(topic, encode_tick(tick), key=key, partition=partition)


def as_one(symbol: str, ticks: list[Tick], settings: Settings) -> list[Bar]:
    """The bars that one worker makes of all ticks of a symbol, undisturbed."""
    pipeline = PartitionPipeline(PredictionSettings.of(settings))
    return [bar for bar in pipeline.process(records(ticks)).bars if bar.symbol == symbol]


def shape(bar: Bar) -> tuple[Any, ...]:
    return bar.ts_open, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ticks, (
        bar.empty_before
    )  # fmt: skip


async def test_symbols_go_on_in_their_new_partitions(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    settings = settings_for(**TRAINS_SOON, retrain_interval_hours=24)
    topics = with_partitions(settings, 1)
    await apply_topics(topics, client_settings(settings))
    load, rng = Load(settings, 1), np.random.default_rng(7)
    await load.begin()
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, log, module="tests.impatient") as worker:
        async with asyncio.timeout(TRAINED_S):
            while not all(f"{name}: served by" in worker.text() for name in SYMBOLS):
                assert worker.process.poll() is None, worker.text()
                await asyncio.sleep(0.5)
        sending = asyncio.create_task(load.run())
        await asyncio.sleep(2)
        for at in (1, 2):
            topics = with_partitions(settings, COUNTS[at])
            ended = await command(settings, "topics", "apply")
            assert ended.returncode == 0, ended.stderr
            moving = [name for name in SYMBOLS if way(name)[at] != way(name)[at - 1]]
            assert f"to {COUNTS[at]} partitions; {len(moving)} of 4 symbols move" in ended.stdout
            load.count = COUNTS[at]
            for _ in range(KILLS):
                await asyncio.sleep(rng.uniform(0.3, 3))
                worker.kill()
                worker.start()
                await worker.until("restored")
            for name in moving:
                await until_come(worker, name, way(name)[at])
        await asyncio.sleep(2)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        everything = sum(map(len, load.sent.values()))
        answers = await read_while(
            worker,
            topics.predictions,
            lambda found: len({message["id"] for message in found}) < everything,
        )
        assert worker.terminate() == 0, worker.text()
        said = log.read_text()
    sent = {(r.partition, r.offset): r for r in await read_all(settings, topics.ticks)}
    answered = {(item["source"]["partition"], item["source"]["offset"]) for item in answers}
    assert len(sent) >= everything  # one that was not acknowledged may be there too
    assert not sent.keys() - answered
    first: dict[tuple[str, int], dict[str, Any]] = {}
    for item in sorted(answers, key=lambda item: item["source"]["offset"]):
        first.setdefault((item["symbol"], item["source"]["partition"]), item)
    short = Counter(reason for item in answers for reason in item["degraded"])
    moved = [(name, way(name)[at]) for name in SYMBOLS for at in (1, 2) if way(name)[at] != 0]
    for name, partition in moved:
        answer = first[name, partition]
        assert len(answer["members"]) == 4, answer
        assert answer["degraded"] == [], answer
    note(
        f"partitions added twice, 1 to 2 to 5, {2 * KILLS} kills, {everything:,} ticks",
        "0 unanswered, all four models from the first tick on",
        f"{len(sent.keys() - answered)} unanswered, {dict(short)} degraded",
    )
    found = await bars_of(settings, topics)
    for name in SYMBOLS:
        # One that was on its way at the end may be there as well.
        values = [orjson.loads(r.value or b"") for r in sent.values() if r.key == name.encode()]
        load.sent[name] = sorted((Tick(**value) for value in values), key=lambda tick: tick.ts)
        made = [shape(bar) for bar in as_one(name, load.sent[name], settings)]
        assert [shape(found[name, bar[0]]) for bar in made] == made
    assert said.count("no usable state") == 0
    # The state is in the new partition: a restart finds it there.
    with WorkerProcess(settings, log, module="tests.impatient") as worker:
        for name in SYMBOLS:
            await worker.until(f"partition {way(name)[-1]}: restored")
        text = worker.text()
        bars = {
            int(a): int(b)
            for a, b in re.findall(r"partition (\d+): restored \d+ symbols, (\d+) bars", text)
        }
        for name in SYMBOLS:
            count = len(as_one(name, load.sent[name], settings))
            assert bars[way(name)[-1]] >= min(count, settings.window_bars)
        assert " came " not in text


async def bars_of(settings: Settings, topics: Topics) -> dict[tuple[str, int], Bar]:
    """By symbol and opening time; the last of those in one partition, the fullest of all."""
    found: dict[tuple[str, int], Bar] = {}
    for record in await read_all(settings, topics.bars):
        bar = decode_bar(record.value or b"")
        known = found.get((bar.symbol, bar.ts_open))
        if known is None or bar.ticks >= known.ticks:
            found[bar.symbol, bar.ts_open] = bar
    return found


async def until_come(worker: WorkerProcess, name: str, partition: int) -> None:
    async with asyncio.timeout(TRAINED_S):
        while not came(worker.log.read_text(), name, partition):
            assert worker.process.poll() is None, worker.text()
            await asyncio.sleep(0.2)


def came(text: str, name: str, partition: int) -> bool:
    """Whether the log says that a symbol has come to a partition."""
    wanted = rf"partition {partition}: (from partition \d+ came .*\b{name}\b|{name} had come)"
    return bool(re.search(wanted, text))


async def test_others_are_answered_while_a_symbol_is_on_its_way(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    """However long that takes: it goes on only once all others have been answered."""
    settings = settings_for(bar_seconds=60, training_window_days=1, min_training_bars=1400)
    topics = with_partitions(settings, 2)
    await apply_topics(topics, client_settings(settings))
    goes = next(name for name in NAMES if belongs(name, 2) == 0 and belongs(name, 3) == 2)
    stay = [next(n for n in NAMES if belongs(n, 2) == belongs(n, 3) == at) for at in (0, 1)]
    streams = {name: walk(1000, symbol=name) for name in (goes, *stay)}
    gate = tmp_path / "gate"
    variables = {GATE: str(gate)}
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, log, module="tests.gated_moves", variables=variables) as worker:
        await feed(settings, [next(ticks) for _ in range(EACH) for ticks in streams.values()])
        await read_until(worker, topics.predictions, 3 * EACH)
        topics = with_partitions(settings, 3)
        ended = await command(settings, "topics", "apply")
        assert ended.returncode == 0, ended.stderr
        assert re.search(r"1 of 3 symbols move.* at most about \d+ s", ended.stdout, re.DOTALL)
        await worker.until("partition 2: restored")
        await feed(settings, [next(ticks) for _ in range(EACH) for ticks in streams.values()])
        meanwhile = await read_until(worker, topics.predictions, 5 * EACH)
        assert Counter(item["symbol"] for item in meanwhile) == dict.fromkeys(stay, 2 * EACH) | {
            goes: EACH
        }
        gate.touch()
        everything = await read_until(worker, topics.predictions, 6 * EACH)
        assert worker.terminate() == 0, worker.text()
    assert f"partition 2: from partition 0 came {goes} with" in log.read_text()
    there = {item["source"]["offset"] for item in everything if item["source"]["partition"] == 2}
    assert there == set(range(EACH))


def belongs(symbol: str, count: int) -> int:
    return partition_of(symbol.encode(), range(count))
