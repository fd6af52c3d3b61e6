"""Tick to prediction while the models are retrained: Kafka, a worker, a month of history.

A worker answers a month of history. Then ticks come at a steady rate while all four models are
retrained on the whole month again and again; the first forty seconds do not count. Latency is from
the call that sends a tick to the receipt of its prediction, in this process, by one clock. In the
same run, an echo returns each tick unchanged, at rest and while the same models are trained beside
it: what Kafka, the clients and the machine take without a worker. `--threads` measures the same
with the retrain in the worker's threads instead of the pool.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from harness import HERE, RESULTS, Options, options, progress, quantiles, save, show
from prices import SYMBOL, live_ticks, month_ticks, plain_settings
from processes import WORKER, Process, last_retrain, running, until_answered
from rich.table import Table
from world import broker_of_choice, length, send, settings_for, topics_file, topics_of

from stream_app.bars.features import FloatArray
from stream_app.brokers import Broker
from stream_app.brokers.process import free_ports
from stream_app.kafka.connection import client_settings
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics
from stream_app.messages.codec import decode_retrain_event
from stream_app.messages.schemas import RetrainEvent, Tick
from stream_app.messages.ticks import encode_tick
from stream_app.settings import Settings

TARGET_S: Final = 45.0
PIECE_S: Final = 0.5
SETTLE_S: Final = 1.0
LEAD_IN_S: Final = 40.0
"""Warm-up at the highest rate before anything is measured, so that the broker's Java has compiled
its hot code."""
BURST_S: Final = 0.001
THREADED: Final = (str(HERE / "threaded_worker.py"),)
ECHO: Final = (str(HERE / "sides.py"), "echo")
TRAIN_ON: Final = str(HERE / "train_on.py")
BESIDE: Final = "beside an echo"


def half_of_throughput() -> float:
    """Half of the ticks a second that throughput.py measured with one symbol, rounded to 500."""
    measured = orjson.loads((RESULTS / "throughput.json").read_bytes())
    median = measured["symbols"]["1"]["ticks_per_second"]["stream-app worker"]["median"]
    return 500.0 * round(float(median) / 2 / 500)


class Ear:
    """Receives predictions and retrain events, and notes when they arrive."""

    def __init__(self) -> None:
        self.events: list[tuple[float, RetrainEvent]] = []
        self.expect(())

    def expect(self, ticks: Sequence[Tick]) -> None:
        """Allocate space for the answers: growing an array would stop this process for 0.1 s."""
        self.events.clear()
        self._index = {tick.ts: at for at, tick in enumerate(ticks)}
        self.received = np.full(len(ticks), np.nan)
        """When each tick's answer arrived."""
        self.by_four = np.zeros(len(ticks), dtype=bool)
        """Whether all four models answered."""

    async def listen(self, settings: Settings, topics: Topics) -> None:
        consumer = AIOKafkaConsumer(
            **client_settings(settings), enable_auto_commit=False, fetch_max_wait_ms=25
        )
        await consumer.start()
        try:
            tps = [
                TopicPartition(topic.name, number)
                for topic in (topics.predictions, topics.retrain_events)
                for number in range(topic.partitions)
            ]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            for tp in tps:
                consumer.seek(tp, ends[tp])
            while True:
                fetched = await consumer.getmany(timeout_ms=1000)
                now = time.perf_counter()
                for tp, records in fetched.items():
                    if tp.topic == topics.predictions.name:
                        for record in records:
                            message = orjson.loads(record.value)
                            at = self._index[message["ts"]]
                            self.received[at] = now
                            self.by_four[at] = len(message.get("members", ())) == 4
                    else:
                        self.events += [(now, decode_retrain_event(r.value)) for r in records]
        finally:
            await consumer.stop()


async def talk(
    settings: Settings, topic: str, partition: int, ticks: Sequence[Tick], per_second: float
) -> FloatArray:
    """Send each tick when it is due, whatever comes back. Returns when each was sent.

    Ticks that are due together go in one batch. One by one, a high rate would take the cores from
    the worker that is measured.
    """
    sent = np.full(len(ticks), np.nan)
    producer = AIOKafkaProducer(**client_settings(settings), acks=1, max_batch_size=2**20)
    await producer.start()
    try:
        key = SYMBOL.encode()
        values = [encode_tick(tick) for tick in ticks]
        began = time.perf_counter()
        futures = []
        number = 0
        with progress() as shown:
            task = shown.add_task(f"{per_second:g} ticks a second", total=len(ticks))
            while number < len(ticks):
                due = began + number / per_second
                await asyncio.sleep(max(BURST_S, due - time.perf_counter()))
                now = time.perf_counter()
                end = min(len(ticks), int((now - began) * per_second) + 1)
                batch = producer.create_batch()
                for value in values[number:end]:
                    batch.append(key=key, value=value, timestamp=None)
                batch.close()
                sent[number:end] = now
                futures.append(await producer.send_batch(batch, topic, partition=partition))
                number = end
                shown.update(task, completed=number)
        await asyncio.sleep(SETTLE_S)  # gathering so many would delay the last answers
        await asyncio.gather(*futures)
    finally:
        await producer.stop()
    return sent


def spans(events: Sequence[tuple[float, RetrainEvent]]) -> list[tuple[float, float, RetrainEvent]]:
    """When each finished cycle began and ended, by this process's clock."""
    return [
        (at - event.duration_seconds, at, event) for at, event in events if event.state != "started"
    ]


def figures(
    sent: FloatArray, ear: Ear, cycles: Sequence[tuple[float, float, RetrainEvent]]
) -> dict[str, Any]:
    """Latencies in milliseconds, during and outside the cycles."""
    answered = ~np.isnan(ear.received)
    latency_ms = 1000 * (ear.received - sent)
    busy = np.zeros(len(sent), dtype=bool)
    for began, ended, _ in cycles:
        busy |= (began <= ear.received) & (sent <= ended)
    gaps_ms = 1000 * np.diff(np.sort(ear.received[answered]))
    return {
        "sent": len(sent),
        "answered": int(answered.sum()),
        "by_four_models": int(ear.by_four.sum()),
        "during_retrain_ms": quantiles(latency_ms[answered & busy]),
        "outside_retrain_ms": quantiles(latency_ms[answered & ~busy]),
        "longest_gap_ms": float(gaps_ms.max(initial=0.0)),
        "series": series(sent, latency_ms, cycles),
        "retrains": [
            {
                "trigger": event.trigger,
                "state": event.state,
                "seconds": event.duration_seconds,
                "rows": event.rows,
                "model_seconds": event.model_seconds,
                "lstm_included": event.lstm_included,
                "within_target": event.duration_seconds <= TARGET_S,
            }
            for _, _, event in cycles
        ],
    }


def series(
    sent: FloatArray,
    latency_ms: FloatArray,
    cycles: Sequence[tuple[float, float, RetrainEvent]],
) -> dict[str, Any]:
    """Latency for each half second from the first tick on, and when retrains ran."""
    pieces = ((sent - sent[0]) / PIECE_S).astype(np.int64)
    answered = ~np.isnan(latency_ms)
    found = [
        (int(piece), latency)
        for piece in np.unique(pieces)
        if len(latency := latency_ms[answered & (pieces == piece)])
    ]
    return {
        "second": [piece * PIECE_S for piece, _ in found],
        "p50_ms": [quantiles(latency)["p50"] for _, latency in found],
        "max_ms": [float(latency.max()) for _, latency in found],
        "retrains": [[start - sent[0], end - sent[0]] for start, end, _ in cycles],
    }


async def measure(
    chosen: Options,
    broker: Broker,
    folder: Path,
    *,
    command: Sequence[str],
    rates: Sequence[float],
    seconds: float,
    every_s: float,
    beside: Callable[[], AbstractContextManager[object]] = nullcontext,
    **overrides: Any,
) -> dict[str, Any]:
    """One worker: history, then each rate in turn while retrains run.

    Args:
        beside: what runs beside the worker once it is trained.
        overrides: of its settings.
    """
    file = topics_file(folder, {}, f"{folder.name}.")
    # Retraining starts after the history, because it would only slow the history down.
    settings = settings_for(
        broker,
        folder,
        file,
        retrain_interval_hours=every_s / 3600,
        min_training_bars=8640,
        web_port=free_ports(1)[0],
        **overrides,
    )
    history = month_ticks(chosen.data)
    async with topics_of(settings) as topics:
        with ExitStack() as stack:
            worker = stack.enter_context(running(command, settings, folder / "worker.log"))
            await send(settings, history, "sending a month")
            await until_answered(settings, topics, len(history), worker)
            if command is not ECHO:
                await _until_trained(settings, worker)
            stack.enter_context(beside())
            ear = Ear()
            listening = asyncio.create_task(ear.listen(settings, topics))
            await asyncio.sleep(SETTLE_S)
            partition = await _partition(settings, topics)
            measured: dict[str, Any] = {}
            at = history[-1].ts + 1000
            stages = [(max(rates), LEAD_IN_S, False), *((rate, seconds, True) for rate in rates)]
            for rate, lasting_s, counts in stages:
                ticks = live_ticks(
                    [SYMBOL],
                    start_ms=at,
                    interval_ms=max(1.0, 1000 / rate),  # event times must be unique
                    count=int(rate * lasting_s),
                    price=history[-1].price,
                )
                at = ticks[-1].ts + 1000
                ear.expect(ticks)
                gc.collect()
                gc.disable()  # a collection here would count as the worker's
                sent = await talk(settings, topics.ticks.name, partition, ticks, rate)
                # Wait for a cycle that still runs when the ticks end.
                await asyncio.sleep(SETTLE_S)
                async with open_reader(client_settings(settings)) as reader:
                    events = await length(reader, topics.retrain_events)
                    while events % 2 and events == await length(reader, topics.retrain_events):
                        worker.check()
                        await asyncio.sleep(0.2)
                await asyncio.sleep(SETTLE_S)
                gc.enable()
                if counts:
                    measured[f"{rate:g}"] = figures(sent, ear, spans(ear.events))
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    return measured


async def _until_trained(settings: Settings, worker: Process) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            worker.check()
            last = await last_retrain(session, settings)
            if last is not None and last["state"] == "succeeded":
                return
            await asyncio.sleep(0.2)


async def _partition(settings: Settings, topics: Topics) -> int:
    """The partition of the symbol."""
    async with open_reader(client_settings(settings)) as reader:
        tps = [TopicPartition(topics.ticks.name, n) for n in range(topics.ticks.partitions)]
        ends = await reader.end_offsets(tps)
    return int(max(tps, key=lambda tp: ends[tp]).partition)


def tables(results: dict[str, dict[str, Any]]) -> list[Table]:
    """A table of latencies and one of retrains."""
    latency = Table(title="Tick to prediction [ms]", title_justify="left")
    for name in ("retrain in", "ticks/s", "answered", "while", "ticks", "p50", "p99", "max"):
        latency.add_column(name, justify="right")
    latency.add_column("longest gap", justify="right")
    cycles = Table(title=f"Retrains of the month (target {TARGET_S:g} s)", title_justify="left")
    for name in ("retrain in", "ticks/s", "state", "took", "kalman", "random_forest"):
        cycles.add_column(name, justify="right")
    for name in ("lightgbm", "lstm", "rows"):
        cycles.add_column(name, justify="right")
    for where, rates in results.items():
        for rate, found in rates.items():
            for part in ("during_retrain_ms", "outside_retrain_ms"):
                item = found[part]
                if not item["count"]:  # an echo is never retrained
                    continue
                latency.add_row(
                    where,
                    rate,
                    f"{found['answered']}/{found['sent']}",
                    "retraining" if part.startswith("during") or where == BESIDE else "idle",
                    str(item["count"]),
                    *(f"{item[name]:.1f}" for name in ("p50", "p99", "max")),
                    f"{found['longest_gap_ms']:.0f}",
                )
            for event in found["retrains"]:
                cycles.add_row(
                    where,
                    rate,
                    event["state"],
                    f"{event['seconds']:.1f} s",
                    *(
                        f"{event['model_seconds'].get(name, 0.0):.1f}"
                        for name in ("kalman", "random_forest", "lightgbm", "lstm")
                    ),
                    str(event["rows"]),
                )
    return [latency, cycles]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rates", type=float, nargs="+", help="ticks a second, in turn")
    parser.add_argument("--seconds", type=float, help="of each rate")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between retrains")
    parser.add_argument("--threads", action="store_true", help="also with the retrain in threads")


async def run(chosen: Options, given: argparse.Namespace) -> None:
    high = half_of_throughput()
    rates = given.rates or ([500.0] if chosen.quick else [500.0, 100.0, high])
    seconds = given.seconds or (30.0 if chosen.quick else 60.0)
    workers = {"pool": WORKER, "echo": ECHO, BESIDE: ECHO}
    if given.threads:
        workers["threads"] = THREADED
    results: dict[str, dict[str, Any]] = {}
    with broker_of_choice() as broker, tempfile.TemporaryDirectory(prefix="bench-") as root:
        for name, command in workers.items():
            folder = Path(root) / name.replace(" ", "-")
            folder.mkdir()
            log = folder / "training.log"
            training = partial(running, (TRAIN_ON, str(chosen.data)), plain_settings(), log)
            results[name] = await measure(
                chosen,
                broker,
                folder,
                command=command,
                # With threads, the backlog of the high rate would outlast the run.
                rates=[rate for rate in rates if command is not THREADED or rate < high],
                seconds=seconds,
                every_s=given.every,
                beside=training if name == BESIDE else nullcontext,
            )
        show(f"{broker.name}, {os.cpu_count()} cores", *tables(results))
        save(chosen, {"broker": broker.name, "target_s": TARGET_S, "latency": results})


if __name__ == "__main__":
    asyncio.run(run(*options(__doc__, add=add)))
