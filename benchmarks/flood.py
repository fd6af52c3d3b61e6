"""Good ticks a second, alone and with up to one bad message per good tick.

In process: the partition's pipeline with all four models, plus encoding, measured in processor
time, which other processes do not disturb. On Kafka: a worker over a backlog, by the broker's
append times of the predictions, as in throughput.py. All sides answer the same good ticks, in turn,
in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiokafka.partitioner import DefaultPartitioner
from harness import (
    Options,
    interleaved,
    options,
    progress,
    ratios,
    save,
    show,
    spread,
    spread_table,
)
from prices import live_ticks, month_bars, month_ticks, plain_settings, symbol_names, train
from processes import WORKER
from throughput import history_ticks, one_run
from world import (
    broker_of_choice,
    digest,
    publish_models,
    send,
    settings_for,
    topics_file,
    topics_of,
)

from stream_app.bars.features import BarColumns
from stream_app.brokers import Broker
from stream_app.dead_letters.letter import letter_of
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import TopicSpec
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import encode_tick
from stream_app.models.catalog import CATALOG
from stream_app.models.kalman import KalmanMember
from stream_app.models.model_set import ModelSet
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.settings import Settings
from stream_app.training.job import TrainedModel
from stream_app.training.settings import model_settings

ALONE: Final = "good ticks alone"
FLOODS: Final = {"one bad per four good": 4, "one bad per two good": 2, "one bad per good": 1}
"""How many good ticks per bad message."""
SIDES: Final[Mapping[str, int | None]] = {ALONE: None, **FLOODS}
TARGET: Final = 0.8
FUTURE_MS: Final = 3_000_000_000_000

Trained = Mapping[str, TrainedModel]


@dataclass(slots=True)
class Record:
    """A record as the pipeline needs it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = FUTURE_MS
    topic: str = "market.ticks.v1"
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def good(ticks: Sequence[Tick]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of ticks."""
    return ((tick.symbol.encode(), encode_tick(tick)) for tick in ticks)


def flooded(ticks: Sequence[Tick], every: int | None) -> Iterator[tuple[bytes, bytes]]:
    """The ticks with a bad message after every `every`, of each kind in turn; None adds none."""
    for number, (key, value) in enumerate(good(ticks)):
        yield key, value
        if every is None or number % every:
            continue
        yield (
            (key, value[:-7]),
            (key, value.replace(b'"price":', b'"price":-')),
            (key, value.replace(b'"price":', b'"price":NaN,"p":')),
            (key + b"?", value),
            (key, value.replace(b'"ts":', b'"ts":"",')),
        )[number // every % 5]


def in_process(
    chosen: Options, settings: Settings, trained: Trained, bars: BarColumns, count: int
) -> dict[str, list[float]]:
    """Good ticks per second of processor time, in batches of the worker's size."""
    loaders = {
        name: CATALOG[name].load(trained[name].artifact, model_settings(settings))
        for name in CATALOG
    }
    kalman = loaders["kalman"]
    assert isinstance(kalman, KalmanMember)
    models = ModelSet(
        version="benchmark",
        trained_to_ts=int(bars.ts_last[-1]),
        members=loaders,
        noise=kalman.noise,
    )
    pipeline = PartitionPipeline(PredictionSettings.of(settings))
    history = month_ticks(chosen.data)
    offsets = itertools.count()

    def records(pairs: Iterator[tuple[bytes, bytes]]) -> list[Record]:
        return [Record(next(offsets), key, value) for key, value in pairs]

    with progress() as shown:
        for start in shown.track(range(0, len(history), 2048), description="a month of ticks"):
            pipeline.process(records(good(history[start : start + 2048])))
    (symbol,) = pipeline.symbols
    pipeline.symbols[symbol].models = models
    at = history[-1].ts + 1000

    def run(every: int | None) -> float:
        nonlocal at
        ticks = live_ticks(
            [symbol], start_ms=at, interval_ms=1000, count=count, price=history[-1].price
        )
        at = ticks[-1].ts + 1000
        made = records(flooded(ticks, every))
        size, answered = settings.max_batch_ticks, 0
        started = time.process_time()
        for start in range(0, len(made), size):
            answer = pipeline.process(made[start : start + size])
            answer.predictions.values()
            for letter in answer.dead_letters:
                letter_of(letter)
            answered += len(answer.predictions)
        took = time.process_time() - started
        assert answered == count
        return count / took

    sides = {name: partial(run, every) for name, every in SIDES.items()}
    return interleaved(sides, chosen.rounds)


async def send_flooded(
    settings: Settings, topic: TopicSpec, ticks: Sequence[Tick], every: int | None
) -> None:
    """Ticks of one symbol and bad messages, all to the symbol's partition."""
    partitions = list(range(topic.partitions))
    partition_of = DefaultPartitioner()
    async with connected_producer(settings) as producer:
        symbol = ticks[0].symbol.encode()
        partition = partition_of(symbol, partitions, partitions)
        with progress() as shown:
            pairs = shown.track(list(flooded(ticks, every)), description="backlog")
            sent = [await producer.send(topic.name, value, key, partition) for key, value in pairs]
        await asyncio.gather(*sent)


async def through_kafka(
    chosen: Options, broker: Broker, root: Path, *, trained: Trained, bars: BarColumns, count: int
) -> dict[str, list[float]]:
    """Good ticks a second through a worker, all sides in turn."""
    symbols = symbol_names(1)
    history = history_ticks(chosen.data, symbols)
    ticks = live_ticks(
        symbols,
        start_ms=history[-1].ts + 60_000,
        interval_ms=1000,
        count=count,
        price=history[-1].price,
    )
    sides: dict[str, tuple[str, Path, Mapping[int, int]]] = {}
    for name, every in SIDES.items():
        prefix = f"every-{every}."
        folder = root / prefix
        folder.mkdir()
        settings = settings_for(broker, folder, topics_file(folder, {}, prefix))
        publish_models(settings, symbols, trained, bars)
        async with topics_of(settings) as topics:
            await send(settings, history, "history")
            ends = await digest(settings)
            await send_flooded(settings, topics.ticks, ticks, every)
        sides[name] = (prefix, folder, ends)
    measured: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    with progress() as shown:
        task = shown.add_task("", total=chosen.rounds * len(names))
        for turn in range(chosen.rounds):
            for name in names if turn % 2 == 0 else reversed(names):
                shown.update(task, description=name)
                prefix, folder, committed = sides[name]
                found = await one_run(
                    broker,
                    folder,
                    prefix=prefix,
                    number=turn,
                    command=WORKER,
                    ends=committed,
                    backlog=count,
                )
                measured[name].append(found)
                shown.advance(task)
    return measured


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ticks", type=int, help="good ones of a run")


async def run(chosen: Options, given: argparse.Namespace) -> None:
    count = given.ticks or (20_000 if chosen.quick else 60_000)
    settings = plain_settings()
    bars = month_bars(chosen.data, settings)
    trained = train(bars, settings)
    results: dict[str, dict[str, list[float]]] = {
        "in process": in_process(chosen, settings, trained, bars, count)
    }
    with broker_of_choice() as broker, tempfile.TemporaryDirectory(prefix="bench-") as root:
        results[broker.name] = await through_kafka(
            chosen, broker, Path(root), trained=trained, bars=bars, count=count
        )
    cases: dict[str, Any] = {}
    for where, measured in results.items():
        spreads = {name: spread(values) for name, values in measured.items()}
        found = {name: ratios(measured[name], measured[ALONE]) for name in FLOODS}
        cases[where] = {"good_ticks_per_second": spreads, "ratios": found}
        show(spread_table(f"Good ticks, {where}", "ticks/s", spreads, digits=0))
        show(spread_table(f"Flooded over alone, {where}", "times", found))
    met = {
        where: [name for name, ratio in case["ratios"].items() if ratio.median >= TARGET]
        for where, case in cases.items()
    }
    show(f"{os.cpu_count()} cores, {count:,} good ticks; {TARGET:g} or more with: {met}")
    save(chosen, {"ticks": count, "target": TARGET, "met": met, "cases": cases})


if __name__ == "__main__":
    asyncio.run(run(*options(__doc__, add=add)))
