"""The worker as a process, on each broker: every tick answered, whatever happens to it."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream_app.feed.synthetic import synthetic_ticks
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import encode_tick
from tests.builders import START_MS, walk
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, environment, feed, read_all, read_until

pytestmark = pytest.mark.timeout(400)

SMALL = {
    "bar_seconds": 60,
    "training_window_days": 1,
    "lstm_epochs": 1,
    "min_training_bars": 200,
    # No test may depend on how fast the machine is.
    "retrain_target_seconds": 300,
    "retrain_deadline_seconds": 300,
}


def ticks(count: int, symbols: tuple[str, ...] = ("A", "B", "C")) -> list[Tick]:
    made = synthetic_ticks(symbols=symbols, seed=3, start_ms=START_MS, interval_ms=15_000)
    return list(itertools.islice(made, count))


async def test_every_valid_tick_has_one_prediction_and_every_bad_one_a_dead_letter(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    good = list(walk(400, symbol="A"))
    bad = [
        (b"A", b"not json"),
        (b"A", b'{"symbol":"A","price":-1,"ts":1640995200000}'),
        (b"B", encode_tick(good[0])),
        (None, encode_tick(good[0])),
        (b"A", b"x" * 70_000),
    ]
    producer = AIOKafkaProducer(**client_settings(settings))
    await producer.start()
    try:
        for at, tick in enumerate(good):
            await producer.send(
                topics_on_broker.ticks.name, encode_tick(tick), key=b"A", partition=0
            )
            if at % 80 == 40:
                key, value = bad[at // 80]
                await producer.send(topics_on_broker.ticks.name, value, key=key, partition=0)
        await producer.flush()
    finally:
        await producer.stop()
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        predictions = await read_until(worker, topics_on_broker.predictions, len(good))
        letters = await read_all(settings, topics_on_broker.dead_letters)
        assert worker.terminate() == 0, worker.text()
    assert len(predictions) == len(good)
    assert len({message["id"] for message in predictions}) == len(good)
    assert [message["ts"] for message in predictions] == [tick.ts for tick in good]
    assert {(letter.key, letter.value) for letter in letters} == set(bad)
    reasons = {}
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["topic"].decode() == topics_on_broker.ticks.name
        assert headers["partition"] == b"0"
        reasons[int(headers["offset"])] = headers["reason"].decode()
        assert int(headers["timestamp"]) > 0
    assert list(dict(sorted(reasons.items())).values()) == [
        "not_json", "bad_price", "key_mismatch", "key_mismatch", "too_large"
    ]  # fmt: skip
    answered = {message["source"]["offset"] for message in predictions}
    assert answered | set(reasons) == set(range(405))


async def test_the_models_come_after_enough_bars_and_all_four_answer(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    first = list(walk(1000, symbol="A"))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, first)
        await worker.until("(all 4 models)")
        more = [Tick(symbol="A", price=40_000.0, ts=first[-1].ts + 1000 * n) for n in range(1, 9)]
        await feed(settings, more)
        predictions = await read_until(worker, topics_on_broker.predictions, 1008)
        assert worker.terminate() == 0, worker.text()
    assert predictions[0]["members"].keys() == {"kalman"}
    assert "lstm: not trained yet" in predictions[0]["degraded"]
    last = predictions[-1]
    assert last["degraded"] == []
    assert {name: round(item["weight"], 9) for name, item in last["members"].items()} == {
        "kalman": 0.10,
        "random_forest": 0.30,
        "lightgbm": 0.35,
        "lstm": 0.25,
    }
    events = [
        orjson.loads(r.value or b"")
        for r in await read_all(settings, topics_on_broker.retrain_events)
    ]
    assert [event["state"] for event in events][:2] == ["started", "succeeded"]
    assert events[1]["lstm_included"]
    assert set(events[1]["model_seconds"]) == {"kalman", "random_forest", "lightgbm", "lstm"}


async def test_sigterm_commits_what_is_answered_so_nothing_is_answered_twice(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    await feed(settings, ticks(20_000))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await read_until(worker, topics_on_broker.predictions, 1)
        assert worker.terminate() == 0, worker.text()
        assert "Worker stopped" in worker.text()
        worker.start()
        await worker.until("Worker started")
        messages = await read_until(worker, topics_on_broker.predictions, 20_000)
        assert worker.terminate() == 0, worker.text()
    assert len(messages) == 20_000


def run(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_worker_refuses_to_start_without_its_topics_and_names_both_sides(
    settings_for: SettingsFor,
) -> None:
    ended = run("worker", env=environment(settings_for()))
    assert ended.returncode == 2
    lines = ended.stderr.strip().splitlines()
    assert "Traceback" not in ended.stderr
    assert "topics.yaml" in lines[-1]
    assert "stream-app topics apply" in lines[-1]


async def test_verify_passes_on_a_running_system_and_fails_on_an_empty_one(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    env = environment(settings)
    empty = run("verify", "--wait", "0.5", "--json", env=env)
    assert empty.returncode == 1
    said = orjson.loads(empty.stdout.splitlines()[-1])
    assert said["passed"] is False
    assert {check["name"]: check["passed"] for check in said["checks"]} == dict.fromkeys(
        (
            "initial training",
            "LSTM included",
            "in time",
            "every symbol",
            "all four models",
            "predictions keep coming",
        ),
        False,
    )
    first = list(walk(1000, symbol="A"))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, first)
        await worker.until("(all 4 models)")
        command = [sys.executable, "-m", "stream_app", "feed", "synthetic", "--symbol", "A"]
        start = ["--start", "2022-01-03T00:00:00Z", "--speed", "50/s"]
        with subprocess.Popen([*command, *start], env=env, stderr=subprocess.DEVNULL) as feeding:
            try:
                full = await asyncio.to_thread(run, "verify", "--wait", "60", "--json", env=env)
            finally:
                feeding.terminate()
        listed = run("history", "--json", env=env)
        assert worker.terminate() == 0, worker.text()
    assert full.returncode == 0, full.stdout + full.stderr
    assert orjson.loads(full.stdout.splitlines()[-1])["passed"] is True
    events = orjson.loads(listed.stdout.splitlines()[-1])
    assert events[-1]["state"] == "succeeded"
