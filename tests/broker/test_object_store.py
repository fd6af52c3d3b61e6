"""Workers that share nothing but Kafka and an object store, which is a real S3 server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.kafka.placement import partition_of
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings
from tests.broker.test_champions import HISTORY, SMALL, SYMBOL, TICKS, cycles
from tests.builders import walk
from tests.conftest import SettingsFor, needs_kafka
from tests.s3 import BUCKET, S3, Proxy
from tests.workers import DEADLINE_S, WorkerProcess, environment, feed, read_until

pytestmark = pytest.mark.timeout(1800)


def run(settings: Settings, variables: dict[str, str], *arguments: str) -> Any:
    """A command on a machine with these variables, as JSON where it ends well, or its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", *arguments],
        env=environment(settings) | variables,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    if done.returncode:
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1]
    return orjson.loads(done.stdout.splitlines()[-1])


async def served_by(worker: WorkerProcess, topics: Topics, version: str, sent: int) -> int:
    """Send tick after tick until this version answers one; returns how many were sent then."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await feed(worker.settings, [TICKS[sent]])
            sent += 1
            messages = await read_until(worker, topics.predictions, sent)
            last = max(messages, key=lambda message: message["source"]["offset"])
            if last["members"].get("lstm", {}).get("version") == version:
                return sent


async def test_a_worker_with_an_empty_disk_takes_over_what_a_killed_one_has_trained(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, s3: S3
) -> None:
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    one = settings_for(**SMALL, registry_url=url, retrain_interval_hours=24)
    two, three = (one.model_copy(update={"data_dir": tmp_path / name}) for name in ("two", "three"))
    variables = s3.environment()
    with WorkerProcess(one, tmp_path / "one.log", variables=variables) as worker:
        await feed(one, TICKS[:HISTORY])
        first = (await cycles(worker, topics_on_broker, 1))[0]["versions"][SYMBOL]
        sent = await served_by(worker, topics_on_broker, first, HISTORY)
        await feed(one, TICKS[sent : sent + 40])  # bars for the next training to learn from
        sent += 40
        await read_until(worker, topics_on_broker.predictions, sent)
        worker.kill()
        log = worker.text()
    assert f"version {first} is in the store" in log
    with WorkerProcess(two, tmp_path / "two.log", variables=variables) as worker:
        await worker.until("restored 1 symbols")
        assert f"{SYMBOL}: version {first} read from the store" in worker.text()
        await feed(two, [TICKS[sent]])  # the very first answer is by the same models
        messages = await read_until(worker, topics_on_broker.predictions, sent + 1)
        assert all(
            message["members"]["lstm"]["version"] == first
            for message in messages
            if message["source"]["offset"] >= sent - 1
        )
        second = (await cycles(worker, topics_on_broker, 2))[1]["versions"][SYMBOL]
        sent = await served_by(worker, topics_on_broker, second, sent + 1)
        # On a machine without any files an operator sees and changes the same.
        models = run(three, variables, "models", "list", "--json")["symbols"][SYMBOL]
        assert [line["version"] for line in models] == [second, first]
        assert all(line["on_disk"] for line in models)
        said = run(three, variables, "models", "pin", SYMBOL, "20250101T000000Z-00000000")
        assert "is not in the registry" in said
        back = run(three, variables, "models", "rollback", SYMBOL, "--json")
        assert back["version"] == first
        await served_by(worker, topics_on_broker, first, sent)
        assert worker.terminate() == 0, worker.text()
        log += worker.text()
    assert not three.data_dir.exists()
    assert s3.key_id not in log
    assert s3.secret not in log


async def test_a_store_that_is_away_costs_no_prediction_and_gets_the_version_when_it_is_back(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, s3: S3
) -> None:
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    settings = settings_for(**SMALL, registry_url=url, retrain_interval_hours=24)
    with Proxy(s3.url) as proxy:
        variables = s3.environment(AWS_ENDPOINT_URL=proxy.url)
        proxy.is_cut = True
        with WorkerProcess(settings, tmp_path / "worker.log", variables=variables) as worker:
            await worker.until("Worker started")
            await feed(settings, TICKS[:HISTORY])
            version = (await cycles(worker, topics_on_broker, 1))[0]["versions"][SYMBOL]
            sent = await served_by(worker, topics_on_broker, version, HISTORY)
            assert "models serve from this disk" in worker.text()
            assert "is in the store" not in worker.text()
            proxy.is_cut = False
            await worker.until(f"version {version} is in the store")
            messages = await read_until(worker, topics_on_broker.predictions, sent)
            assert len({message["id"] for message in messages}) == sent
            assert worker.terminate() == 0, worker.text()


EACH = {partition_of(name.encode(), range(4)): name for name in (f"S{n}" for n in range(30))}
"""A symbol for each partition."""


@pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True)
async def test_a_worker_that_joins_is_given_nothing_before_it_has_the_models(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, s3: S3
) -> None:
    """Its disk is empty and the store is away: it would answer by the Kalman filter alone."""
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    one = settings_for(
        **SMALL | {"retrain_target_seconds": 600}, registry_url=url, retrain_interval_hours=24
    )
    two = one.model_copy(update={"data_dir": tmp_path / "two"})
    walks = [list(walk(HISTORY + 20, symbol=name)) for name in EACH.values()]
    sent = 0

    async def answers(ticks: list[Tick]) -> list[Any]:
        """Of all symbols to their newest ticks."""
        nonlocal sent
        await feed(one, ticks)
        sent += len(ticks)
        messages = await read_until(owner, topics_on_broker.predictions, sent)
        newest = {each["symbol"]: each for each in messages}
        assert len(newest) == len(EACH)
        return list(newest.values())

    with Proxy(s3.url) as proxy, ExitStack() as stack:
        variables = s3.environment(AWS_ENDPOINT_URL=proxy.url)
        owner = stack.enter_context(
            WorkerProcess(one, tmp_path / "one.log", variables=s3.environment())
        )
        await answers([tick for ticks in walks for tick in ticks[:HISTORY]])
        async with asyncio.timeout(5 * DEADLINE_S):
            while owner.text().count(" is in the store") < len(EACH):
                await asyncio.sleep(0.2)
        proxy.is_cut = True
        joiner = stack.enter_context(WorkerProcess(two, tmp_path / "two.log", variables=variables))
        async with asyncio.timeout(DEADLINE_S):
            while joiner.text().count("it waits for its models") < len(EACH):
                await asyncio.sleep(0.1)
        by = await answers([ticks[HISTORY] for ticks in walks])
        assert all("lstm" in message["members"] for message in by), by
        assert "restored" not in joiner.text()
        assert "stands by" not in joiner.text()
        proxy.is_cut = False
        async with asyncio.timeout(DEADLINE_S):
            while joiner.text().count("it stood by") < len(EACH) // 2:
                await asyncio.sleep(0.1)
        by = await answers([ticks[HISTORY + 1] for ticks in walks])
        assert all("lstm" in message["members"] for message in by), by


async def test_a_worker_refuses_a_store_that_is_set_up_wrongly(
    settings_for: SettingsFor, topics_on_broker: Topics, s3: S3
) -> None:
    settings = settings_for(registry_url="s3://none/x")
    said = run(settings, s3.environment(), "worker")
    assert said.startswith("stream-app: REGISTRY_URL=s3://none/x: cannot write there: HTTP 404")
    assert said.endswith("make the bucket, or correct REGISTRY_URL")
    secret = {"AWS_SECRET_ACCESS_KEY": "hunter2-hunter2"}
    said = run(settings, s3.environment(**secret), "models", "list")
    assert "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    assert "hunter2" not in said
