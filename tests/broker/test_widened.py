"""Partitions are added to the topics under load: every tick of the new ones is answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import apply_topics, load_topics
from stream_app.kafka.topics import CO_PARTITIONED
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import encode_tick
from stream_app.settings import Settings
from tests.builders import START_MS
from tests.conftest import SettingsFor, needs_kafka
from tests.figures import LONG, note
from tests.workers import DEADLINE_S, WorkerProcess, read_while

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True),
]

ROUNDS = 10 if LONG else 2
ADDED = 2
"""Partitions that a round adds."""
BURST = 10
"""Ticks of each partition that are sent at once."""
PAUSE_S = 0.1


async def widen(settings: Settings, partitions: int) -> None:
    """As an operator does: edit topics.yaml, then `topics apply`."""
    content = yaml.safe_load(settings.topics_file.read_text())
    for topic in content["topics"].values():
        if topic["role"] in CO_PARTITIONED:
            topic["partitions"] = partitions
    settings.topics_file.write_text(yaml.safe_dump(content, sort_keys=False))
    topics = load_topics(settings.topics_file)
    assert not (await apply_topics(topics, client_settings(settings))).refusals


class Load:
    """Ticks at a steady rate, a symbol in each partition that there is."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self._settings = settings
        self.partitions = partitions
        self.sent: Counter[int] = Counter()
        """By partition, ticks that the broker has acknowledged."""

    async def run(self) -> None:
        topic = load_topics(self._settings.topics_file).ticks.name
        async with connected_producer(self._settings) as producer:
            while True:
                for partition in range(self.partitions):
                    await self._send(producer, topic, partition)
                await asyncio.sleep(PAUSE_S)

    async def _send(self, producer: Any, topic: str, partition: int) -> None:
        if partition not in await producer.partitions_for(topic):
            await producer.client.force_metadata_update()
            return
        batch = producer.create_batch()
        symbol = f"S{partition}"
        for number in range(self.sent[partition], self.sent[partition] + BURST):
            tick = Tick(symbol=symbol, price=100 + number % 7, ts=START_MS + number * 1000)
            batch.append(key=symbol.encode(), value=encode_tick(tick), timestamp=None)
        await (await producer.send_batch(batch, topic, partition=partition))
        self.sent[partition] += BURST


async def test_no_tick_of_a_new_partition_is_lost(
    settings_for: SettingsFor, topics_on_broker: Any, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60, training_window_days=1, min_training_bars=1400)
    partitions = topics_on_broker.ticks.partitions
    load = Load(settings, partitions)
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, log, module="tests.impatient") as worker:
        sending = asyncio.create_task(load.run())
        await worker.until("restored")
        for _ in range(ROUNDS):
            await widen(settings, partitions + ADDED)
            load.partitions = partitions + ADDED
            for number in range(partitions, partitions + ADDED):
                await worker.until(f"partition {number}: restored")
            partitions += ADDED
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        everything = load.sent.total()
        predictions = load_topics(settings.topics_file).predictions
        async with asyncio.timeout(DEADLINE_S * 3):
            messages = await read_while(
                worker,
                predictions,
                lambda found: len({message["id"] for message in found}) < everything,
            )
        assert worker.terminate() == 0, worker.text()
    answered = {(item["source"]["partition"], item["source"]["offset"]) for item in messages}
    unanswered = Counter(
        partition
        for partition, count in load.sent.items()
        for offset in range(count)
        if (partition, offset) not in answered
    )
    note(
        f"{ROUNDS} times {ADDED} partitions more under load, {everything:,} ticks, Apache Kafka",
        "0 unanswered",
        f"{unanswered.total()} unanswered",
    )
    assert not unanswered
