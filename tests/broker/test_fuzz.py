"""Malformed records between good ticks, through a real worker on each broker.

500 of them in `make test`; 10,000 where STREAM_APP_CHAOS is set, as `make chaos` does.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics, TopicSpec
from stream_app.messages.ticks import REASONS
from stream_app.settings import Settings
from tests.conftest import SettingsFor
from tests.fuzz import SYMBOLS, Case, malformed, unusual
from tests.scraped import scrape, value
from tests.workers import DEADLINE_S, WorkerProcess, read_all

LONG = bool(os.environ.get("STREAM_APP_CHAOS"))
BAD = 10_000 if LONG else 500
GOOD = 5_000 if LONG else 400
SEED = 20_220_101
WAIT_S = 10 * DEADLINE_S if LONG else DEADLINE_S

pytestmark = pytest.mark.timeout(4 * WAIT_S)


def mixed() -> list[Case]:
    """Good ticks spread evenly among the malformed records."""
    bad, good = list(malformed(SEED, BAD)), list(unusual(SEED, GOOD))
    places = [(at / BAD, case) for at, case in enumerate(bad)]
    places += [(at / GOOD, case) for at, case in enumerate(good)]
    return [case for _, case in sorted(places, key=lambda place: place[0])]


async def send(settings: Settings, topic: TopicSpec, cases: list[Case]) -> None:
    """In batches: `send` takes no tombstone without a key."""
    producer = AIOKafkaProducer(**client_settings(settings), acks="all")
    await producer.start()
    try:
        for partition in range(topic.partitions):
            of_partition = [c for c in cases if SYMBOLS.index(c.symbol) % 4 == partition]
            for start in range(0, len(of_partition), 100):
                batches = [producer.create_batch()]
                for number, case in enumerate(of_partition[start : start + 100], start):
                    record = {
                        "key": case.key,
                        "value": case.value,
                        "timestamp": None,
                        "headers": [("case", str(number).encode())],
                    }
                    if batches[-1].append(**record) is None:
                        batches.append(producer.create_batch())
                        assert batches[-1].append(**record) is not None
                for batch in batches:
                    await (await producer.send_batch(batch, topic.name, partition=partition))
    finally:
        await producer.stop()


async def answered_records(settings: Settings, topics: Topics) -> set[tuple[int, int]]:
    """Partition and offset of every record that has a prediction or a letter."""
    places = set()
    for record in await read_all(settings, topics.predictions):
        source = orjson.loads(record.value or b"")["source"]
        places.add((source["partition"], source["offset"]))
    for letter in await read_all(settings, topics.dead_letters):
        headers = dict(letter.headers)
        places.add((int(headers["partition"]), int(headers["offset"])))
    return places


async def until_all_answered(worker: WorkerProcess, topics: Topics) -> None:
    """Until each record of the ticks topic has a prediction or a letter."""
    total, answered = len(await read_all(worker.settings, topics.ticks)), 0
    try:
        async with asyncio.timeout(WAIT_S):
            while answered < total:
                await asyncio.sleep(0.5)
                assert worker.process.poll() is None, worker.text()[-4000:]
                answered = len(await answered_records(worker.settings, topics))
    except TimeoutError:
        pytest.fail(f"{answered} of {total} answered: {worker.text()[-4000:]}")


async def test_each_bad_record_is_a_letter_and_each_good_one_is_answered(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60, training_window_days=1, min_training_bars=1400)
    cases = mixed()
    await send(settings, topics_on_broker.ticks, cases)
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await until_all_answered(worker, topics_on_broker)
        counted = await scrape(worker)
        assert worker.terminate() == 0, worker.text()[-4000:]
    by_partition: dict[int, list[Case]] = {}
    for case in cases:
        by_partition.setdefault(SYMBOLS.index(case.symbol) % 4, []).append(case)
    # By offset, from the topic itself: should a batch have come twice, both are on it.
    expected = {
        (record.partition, record.offset): by_partition[record.partition][
            int(dict(record.headers)["case"])
        ]
        for record in await read_all(settings, topics_on_broker.ticks)
    }
    assert len(expected) >= BAD + GOOD

    letters: dict[tuple[int, int], str] = {}
    for letter in await read_all(settings, topics_on_broker.dead_letters):
        headers = {name: value.decode() for name, value in letter.headers}
        place = int(headers["partition"]), int(headers["offset"])
        case = expected[place]
        assert headers["topic"] == topics_on_broker.ticks.name
        assert letter.partition == place[0]
        assert (letter.key, letter.value) == (case.key, case.value), case.kind
        assert headers["reason"] == case.reason, f"{case.kind}: {headers['detail']}"
        letters[place] = headers["reason"]
    assert letters.keys() == {place for place, case in expected.items() if case.reason is not None}
    of_reason = Counter(letters.values())
    assert of_reason.keys() == REASONS.keys()
    for reason, count in of_reason.items():  # the alert of a flood looks at this counter
        # A batch is counted just after its letters are there; the last one may not be yet.
        assert 0 < value(counted, "stream_app_dead_letters_total", reason=reason) <= count

    predictions = [
        orjson.loads(record.value or b"")
        for record in await read_all(settings, topics_on_broker.predictions)
    ]
    answered = {(m["source"]["partition"], m["source"]["offset"]): m for m in predictions}
    assert answered.keys() == expected.keys() - letters.keys()
    for place, message in answered.items():
        assert message["symbol"] == expected[place].symbol
        assert message["prediction"] > 0
