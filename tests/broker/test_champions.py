"""Who serves, through real workers: rollback without a retrain, pins through retrains and kills."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.kafka.champions import say_champion, told_champions
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Champion, Tick
from stream_app.registry.champion_log import ChampionLog
from stream_app.registry.listing import DiskListing
from stream_app.settings import Settings
from tests.agreement import compare
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.workers import DEADLINE_S, WorkerProcess, environment, feed, read_all, read_until

pytestmark = pytest.mark.timeout(1800)

SYMBOL = "BTC-USD"
TICKS = list(walk(1400, symbol=SYMBOL))
HISTORY = 1000
NEW = 40
"""Ticks that close ten bars."""
SMALL: dict[str, Any] = {
    "bar_seconds": 60,
    "training_window_days": 1,
    "min_training_bars": 200,
    "lstm_epochs": 1,
    "lstm_sequence_length": 8,
    "lstm_layers": (8, 4),
    "retrain_deadline_seconds": 600,
    "kafka_session_timeout_seconds": 6.0,
}


async def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "stream_app", "models", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


async def answered(settings: Settings, *arguments: str) -> Any:
    """The JSON of a command that must succeed."""
    done = await command(settings, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return orjson.loads(done.stdout.splitlines()[-1])


async def refusal(settings: Settings, *arguments: str) -> str:
    """The one line of a command that must fail, after warnings of the log."""
    done = await command(settings, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    *_, line = done.stderr.splitlines()
    assert line.startswith("stream-app: ")
    return line


async def cycles(worker: WorkerProcess, topics: Topics, count: int) -> list[Any]:
    """The ended retrain cycles, once there are so many."""
    async with asyncio.timeout(5 * DEADLINE_S):
        while True:
            records = await read_all(worker.settings, topics.retrain_events)
            events = [orjson.loads(record.value or b"") for record in records]
            ended = [event for event in events if event["state"] != "started"]
            if len(ended) >= count:
                assert all(event["state"] == "succeeded" for event in ended), ended
                return ended
            assert worker.process.poll() is None, worker.text()
            await asyncio.sleep(0.2)


class Flow:
    """Ticks one after the other through one worker."""

    def __init__(self, worker: WorkerProcess, topics: Topics) -> None:
        self._worker = worker
        self._topics = topics
        self._left: list[Tick] = TICKS[HISTORY:]
        self._sent = HISTORY

    async def serving(self, version: str) -> None:
        """Send tick after tick until one is answered by this version, by all members."""
        async with asyncio.timeout(DEADLINE_S):
            while (found := await self._next()) != {version}:
                assert self._worker.process.poll() is None, self._worker.text()
                await asyncio.sleep(0.1)
        # And so is the next one.
        assert await self._next() == {version}, found

    async def go_on(self) -> None:
        """Send ticks that close bars: a training learns nothing new without any."""
        more, self._left = self._left[:NEW], self._left[NEW:]
        await feed(self._worker.settings, more)
        self._sent += len(more)
        await read_until(self._worker, self._topics.predictions, self._sent)

    async def _next(self) -> set[str]:
        await feed(self._worker.settings, [self._left.pop(0)])
        self._sent += 1
        messages = await read_until(self._worker, self._topics.predictions, self._sent)
        last = max(messages, key=lambda message: message["source"]["offset"])
        return {member["version"].split("@")[0] for member in last["members"].values()}


async def test_an_operator_changes_who_serves_without_a_retrain_and_it_holds(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings, topics = settings_for(**SMALL, retrain_interval_hours=24), topics_on_broker
    assert "has models; there are none yet" in await refusal(settings, "rollback", SYMBOL)
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        flow = Flow(worker, topics)
        await feed(settings, TICKS[:HISTORY])
        first = (await cycles(worker, topics, 1))[0]["versions"][SYMBOL]
        await flow.serving(first)
        assert "no version is known to have served before" in await refusal(
            settings, "rollback", SYMBOL
        )
        await flow.go_on()
        assert worker.terminate() == 0, worker.text()
        worker.start()  # which trains at once
        second = (await cycles(worker, topics, 2))[1]["versions"][SYMBOL]
        await flow.serving(second)

        back = await answered(settings, "rollback", SYMBOL, "--why", "it jumps")
        assert (back["version"], back["by"], back["why"]) == (first, "rollback", "it jumps")
        await flow.serving(first)
        assert len(await cycles(worker, topics, 2)) == 2  # no retrain came between
        forward = await answered(settings, "pin", SYMBOL, second)
        assert forward["pinned"]
        await flow.serving(second)
        await flow.go_on()
        await answered(settings, "pin", SYMBOL, first)

        # A kill before any tick was answered by it, and a retrain after it.
        worker.kill()
        worker.start()
        held = (await cycles(worker, topics, 3))[2]
        assert held["versions"] == held["rejected"] == {}
        third = held["pinned"][SYMBOL]
        await flow.serving(first)
        free = await answered(settings, "unpin", SYMBOL)
        assert (free["version"], free["pinned"]) == (first, False)
        await flow.serving(first)
        listed = (await answered(settings, "list"))["symbols"][SYMBOL]
        assert [line["version"] for line in listed] == [third, second, first]
        assert [line["serves"] for line in listed] == [False, False, True]
        assert (listed[2]["by"], listed[0]["by"]) == ("unpin", None)
        assert all("ensemble.r2" in line["gate"] for line in listed)
        assert worker.terminate() == 0, worker.text()

    told = await told_champions(settings)
    assert [item.by for item in told] == ["retrain", "retrain", "rollback", "pin", "pin", "unpin"]
    for item in told:
        served = (await answered(settings, "at", item.since, SYMBOL))["symbols"][SYMBOL]
        assert served["version"] == item.version
    early = datetime.fromisoformat(told[0].since) - timedelta(seconds=1)
    assert (await answered(settings, "at", early.isoformat()))["symbols"] == {SYMBOL: None}

    shown = await command(settings, "show", SYMBOL)
    assert f"{SYMBOL} {first}\n  serves        yes" in shown.stdout
    assert "ensemble.r2" in shown.stdout
    table = await command(settings, "list", SYMBOL)
    assert second in table.stdout
    assert f"no such symbol has models; there are {SYMBOL}" in await refusal(
        settings, "list", "ETH-USD"
    )
    assert "is not ISO 8601" in await refusal(settings, "at", "noon")
    assert f"{first} serves already" in await refusal(settings, "rollback", SYMBOL, first)
    other = settings_for(**SMALL | {"lstm_epochs": 2})
    assert "trained with another lstm_epochs" in await refusal(other, "pin", SYMBOL, second)


async def test_kills_between_changes_of_who_serves_leave_no_two_answers_of_one_version(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings, topics = settings_for(**SMALL, retrain_interval_hours=24), topics_on_broker
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, TICKS[: HISTORY - NEW])
        await cycles(worker, topics, 1)
        await feed(settings, TICKS[HISTORY - NEW : HISTORY])
        await read_until(worker, topics.predictions, HISTORY)
        worker.kill()
        worker.start()
        await cycles(worker, topics, 2)
        versions = DiskListing(settings.data_dir).versions(SYMBOL)
        feeding = asyncio.create_task(feed(settings, TICKS[HISTORY:], 25))
        for number, version in enumerate(itertools.islice(itertools.cycle(versions), 4)):
            await say_champion(settings, named(version, number), {})
            await worker.until(f"{SYMBOL}: served by {version}")
            await asyncio.sleep(0.3 * number)
            worker.kill()
            worker.start()
            await worker.until("restored")
        await feeding
        messages = await read_until(worker, topics.predictions, len(TICKS))
        assert worker.terminate() == 0, worker.text()
    lost, _, differing = compare(messages, len(TICKS))
    assert (lost, differing) == (0, 0)
    served = {message["members"]["lstm"]["version"] for message in messages[HISTORY:]}
    assert set(versions) <= served


def named(version: str, number: int) -> Champion:
    return Champion(
        symbol=SYMBOL,
        version=version,
        since=f"2026-01-01T00:00:0{number}+00:00",
        by="pin",
        why="",
        pinned=True,
        worker="test",
    )


async def test_a_word_that_is_none_and_a_version_that_is_gone_leave_what_serves(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings, topics = settings_for(**SMALL, retrain_interval_hours=24), topics_on_broker
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        flow = Flow(worker, topics)
        await feed(settings, TICKS[:HISTORY])
        first = (await cycles(worker, topics, 1))[0]["versions"][SYMBOL]
        async with connected_producer(settings) as producer:
            for value in (b"no JSON", None, b'{"symbol":"A"}'):
                await producer.send_and_wait(topics.champions.name, value, key=b"x", partition=0)
        gone = "20250101T000000Z-00000000"
        await say_champion(settings, named(gone, 1), {})
        await worker.until(f"{SYMBOL}: the version to serve is unavailable")
        await flow.serving(first)
        assert worker.text().count("left out") == 3
        assert f"version {gone!r} is not in the registry" in await refusal(
            settings, "rollback", SYMBOL, gone
        )
        log = ChampionLog(await told_champions(settings))
        standing = log.standing(SYMBOL)
        assert standing is not None
        assert standing.version == gone
        assert worker.terminate() == 0, worker.text()
