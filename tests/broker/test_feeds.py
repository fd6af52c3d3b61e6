"""Records as other feeds write them, through a real worker on each broker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream_app.cli import main
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics
from stream_app.settings import Settings
from tests.builders import START_MS
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, begin_anew, environment, read_all, read_until

PREFIX = b"\x00\x00\x00\x00\x07"
FIELDS = {
    "symbol": "payload.s",
    "price": "payload.p",
    "ts": "payload.T",
    "size": "payload.q",
    "source": "",
}
SYMBOLS = ("BTCUSDT", "^GSPC", "EURUSD=X", "\u5e73\u5b89\u94f6\u884c")


def foreign(number: int) -> tuple[bytes | None, bytes]:
    """Key and value of a record in an envelope, behind a registry's prefix, in microseconds."""
    payload = {
        "s": SYMBOLS[number % len(SYMBOLS)],
        "p": f"{100 + number / 8:.3f}",
        "T": (START_MS + number * 250) * 1000 + 7,
        "q": "0.5",
    }
    message = {"schema": {"type": "struct"}, "source": {"db": "x"}, "payload": payload}
    return None, PREFIX + json.dumps(message).encode()


async def send(
    settings: Settings, topic: str, records: Sequence[tuple[bytes | None, bytes]]
) -> None:
    """All to partition 0, in batches: a producer may refuse or move what has no key."""
    producer = AIOKafkaProducer(**client_settings(settings), acks="all")
    await producer.start()
    try:
        batch = producer.create_batch()
        for key, value in records:
            assert batch.append(key=key, value=value, timestamp=None) is not None
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


def by_offset(messages: list[Any]) -> dict[int, Any]:
    return {message["source"]["offset"]: message for message in messages}


async def test_a_mapping_reads_a_feed_as_it_is_and_mends_what_was_refused_before(
    settings_for: SettingsFor,
    topics_on_broker: Topics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strict = settings_for(bar_seconds=60, training_window_days=1)
    mapped = strict.model_copy(
        update={"tick_fields": FIELDS, "tick_time_unit": "us", "tick_key": "ignored"}
    )
    topics, count = topics_on_broker, 40
    await send(strict, topics.ticks.name, [foreign(number) for number in range(count)])
    with WorkerProcess(strict, tmp_path / "strict.log") as worker:
        async with asyncio.timeout(120):
            while len(letters := await read_all(strict, topics.dead_letters)) < count:
                assert worker.process.poll() is None, worker.text()
                await asyncio.sleep(0.2)
        assert worker.terminate() == 0
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["reason"] == b"not_json"
        assert b"a schema registry's five bytes: set TICK_FIELDS" in headers["detail"]
    assert await read_all(strict, topics.predictions) == []

    for name, value in mapped.as_environment().items():
        monkeypatch.setenv(name, value)
    await asyncio.to_thread(main, ["dlq", "replay", "--yes"])
    await send(mapped, topics.ticks.name, [foreign(number) for number in range(count, 2 * count)])
    with WorkerProcess(mapped, tmp_path / "mapped.log") as worker:
        answers = by_offset(await read_until(worker, topics.predictions, 2 * count))
        worker.kill()
    assert len(await read_all(strict, topics.dead_letters)) == count
    for offset, answer in answers.items():
        number = offset - count
        assert answer["symbol"] == SYMBOLS[number % len(SYMBOLS)]
        assert answer["ts"] == START_MS + number * 250
        assert answer["last_price"] == 100 + number / 8
    # The state comes back by the symbols that the values name: the records have no keys.
    await send(mapped, topics.ticks.name, [foreign(number) for number in range(2 * count, 90)])
    with WorkerProcess(mapped, tmp_path / "mapped.log") as worker:
        again = by_offset(await read_until(worker, topics.predictions, 90))
    keys = {record.key for record in await read_all(strict, topics.predictions)}
    assert keys == {symbol.encode() for symbol in SYMBOLS}
    for offset, answer in answers.items():
        assert again[offset] == answer


async def test_ticks_that_were_refused_and_then_answered_by_a_new_group_are_in_its_state(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    strict = settings_for(bar_seconds=60, training_window_days=1)
    topics = topics_on_broker
    form = {"tick_fields": FIELDS, "tick_time_unit": "us", "tick_key": "ignored"}
    await send(strict, topics.ticks.name, [foreign(number) for number in range(20)])
    with WorkerProcess(strict, tmp_path / "strict.log") as worker:
        async with asyncio.timeout(120):
            while len(await read_all(strict, topics.dead_letters)) < 20:
                assert worker.process.poll() is None, worker.text()
                await asyncio.sleep(0.2)
        assert worker.terminate() == 0
    answers = []
    for name in ("interrupted", "at once"):
        mapped = strict.model_copy(update={**form, "consumer_group": f"{tmp_path.name} {name}"})
        if name == "interrupted":
            with WorkerProcess(mapped, tmp_path / "mapped.log") as worker:
                await read_until(worker, topics.predictions, 20)
                assert worker.terminate() == 0
            await send(mapped, topics.ticks.name, [foreign(number) for number in range(20, 30)])
        else:
            await begin_anew(mapped)
        before = len(await read_all(strict, topics.predictions))
        with WorkerProcess(mapped, tmp_path / "mapped.log") as worker:
            wanted = 10 if name == "interrupted" else 30
            async with asyncio.timeout(120):
                while len(new := (await read_all(strict, topics.predictions))[before:]) < wanted:
                    assert worker.process.poll() is None, worker.text()
                    await asyncio.sleep(0.2)
        answers.append(by_offset([orjson.loads(record.value or b"") for record in new]))
    interrupted, at_once = answers
    assert interrupted.keys() == set(range(20, 30))
    for offset, answer in interrupted.items():
        assert at_once[offset] == answer


async def test_feed_writes_what_a_mapped_worker_reads(
    settings_for: SettingsFor,
    topics_on_broker: Topics,
    tmp_path: Path,
) -> None:
    settings = settings_for(
        bar_seconds=60, training_window_days=1, tick_fields=FIELDS, tick_time_unit="s"
    )
    arguments = ["feed", "synthetic", "--ticks", "20", "--symbol", "^GSPC", "--seed", "1"]
    fed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream_app", *arguments, env=environment(settings), cwd=tmp_path
    )
    assert await fed.wait() == 0
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        answers = await read_until(worker, topics_on_broker.predictions, 20)
    assert {answer["symbol"] for answer in answers} == {"^GSPC"}
    first = orjson.loads((await read_all(settings, topics_on_broker.ticks))[0].value or b"")
    assert first.keys() == {"payload"}
    assert await read_all(settings, topics_on_broker.dead_letters) == []
