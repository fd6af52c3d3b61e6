"""A symbol that two clients hash differently, through a real worker on each broker."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from confluent_kafka import Producer

from stream_app.kafka.champions import told_champions
from stream_app.kafka.placement import partition_of
from stream_app.kafka.topic_check import Topics
from stream_app.messages.codec import decode_retrain_event
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import encode_tick
from stream_app.prediction.observation import MISPLACED
from stream_app.registry.champion_log import ChampionLog
from stream_app.registry.folders import folder_name
from stream_app.settings import Settings
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, feed, read_all, read_until

SYMBOL = "BTC-USD"
HOME = partition_of(SYMBOL.encode(), range(4))
BARS = 170
TICKS = list(walk(BARS + 30, symbol=SYMBOL, step_ms=60_000))

pytestmark = pytest.mark.timeout(1200)


def send_by_librdkafka(
    settings: Settings, topic: str, ticks: list[Tick], partitioner: str | None = None
) -> None:
    """As confluent-kafka does it, with its own partitioner unless told otherwise."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "acks": "all",
        "enable.idempotence": settings.kafka_idempotent_producer,
    }
    producer = Producer(options | ({"partitioner": partitioner} if partitioner else {}))
    for tick in ticks:
        producer.produce(topic, key=tick.symbol, value=encode_tick(tick))
    assert producer.flush(60) == 0


async def fetched(worker: WorkerProcess, path: str) -> str:
    found = re.search(r"metrics at (http://\S+)/status", worker.text())
    assert found is not None
    async with aiohttp.ClientSession() as session, session.get(f"{found[1]}/{path}") as response:
        return await response.text()


async def test_murmur2_random_sends_where_everybody_else_does(
    settings_for: SettingsFor, topics_on_broker: Topics
) -> None:
    settings, topic = settings_for(), topics_on_broker.ticks
    ticks = [Tick(symbol=f"S{number}", price=1.0, ts=TICKS[0].ts) for number in range(50)]
    await feed(settings, ticks)
    wanted = {record.key: record.partition for record in await read_all(settings, topic)}
    assert set(wanted.values()) == {0, 1, 2, 3}
    await asyncio.to_thread(send_by_librdkafka, settings, topic.name, ticks, "murmur2_random")
    found = [(record.key, record.partition) for record in await read_all(settings, topic)]
    assert len(found) == 100
    assert all(wanted[key] == partition for key, partition in found)
    await asyncio.to_thread(send_by_librdkafka, settings, topic.name, ticks)
    moved = [
        record.key
        for record in (await read_all(settings, topic))
        if wanted[record.key] != record.partition
    ]
    assert len(moved) > 20


async def test_a_symbol_in_two_partitions_is_said_and_trained_in_both(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(
        bar_seconds=60, training_window_days=1, min_training_bars=150, lstm_epochs=1,
        retrain_deadline_seconds=600,
        lstm_sequence_length=8, lstm_layers=(8, 4), ensemble_weights={
            "kalman": 0.25, "random_forest": 0.25, "lightgbm": 0.25, "lstm": 0.25,
        },
    )  # fmt: skip
    topics, name = topics_on_broker, topics_on_broker.ticks.name
    await feed(settings, TICKS[:BARS])
    await asyncio.to_thread(send_by_librdkafka, settings, name, TICKS[:BARS])
    partitions = {record.partition for record in await read_all(settings, topics.ticks)}
    (away,) = partitions - {HOME}
    label = f"{SYMBOL} (partition {away})"
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await read_until(worker, topics.predictions, 2 * BARS)
        ended: list[Any] = []
        trained: dict[str, str] = {}
        async with asyncio.timeout(600):
            while set(trained) != {SYMBOL, label}:
                assert worker.process.poll() is None, worker.text()
                await asyncio.sleep(0.5)
                events = await read_all(settings, topics.retrain_events)
                ended = [decode_retrain_event(event.value or b"") for event in events]
                trained = {k: v for event in ended for k, v in event.versions.items()}
        assert all(event.state in ("started", "succeeded") for event in ended)
        await feed(settings, TICKS[BARS:])
        await asyncio.to_thread(send_by_librdkafka, settings, name, TICKS[BARS:])
        answers = await read_until(worker, topics.predictions, 2 * len(TICKS))
        status = orjson.loads(await fetched(worker, "status"))
        counted = await fetched(worker, "metrics")
        said = worker.text()
    named = ChampionLog(await told_champions(settings))
    for partition, owner in ((HOME, SYMBOL), (away, label)):
        here = [item for item in answers if item["source"]["partition"] == partition]
        assert len(here) == len(TICKS)
        assert all((MISPLACED in item["degraded"]) is (owner == label) for item in here)
        last = max(here, key=lambda item: item["source"]["offset"])
        assert len(last["members"]) == 4
        assert last["members"]["lstm"]["version"] == trained[owner]
        assert (settings.data_dir / "models" / folder_name(owner) / trained[owner]).is_dir()
        champion = named.standing(owner)
        assert champion is not None
        assert champion.version == trained[owner]
        assert status["symbols"][owner]["version"] == trained[owner]
    assert status["misplaced"] == len(TICKS)
    assert f"stream_app_misplaced_ticks_total {float(len(TICKS))}" in counted
    assert said.count(f"{SYMBOL}: its ticks come in partition {away}, but its key belongs in") == 1

    # The champions are those of the partition after a restart too, in a worker of its own.
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await worker.until(f"partition {away}: restored 1 symbols")
        await worker.until(f"partition {HOME}: restored 1 symbols")
        again = orjson.loads(await fetched(worker, "status"))
        assert {key: item["version"] for key, item in again["symbols"].items()} == trained
