"""The dashboard as a process beside real workers: what it shows, and what it lives through."""

from __future__ import annotations

import asyncio
import signal
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.kafka.connection import client_settings
from stream_app.kafka.group import open_group
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics, apply_topics, check_topics, load_topics
from stream_app.settings import load_settings
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.dashboards import DashboardProcess, check, watching
from tests.workers import DEADLINE_S, TRAINS_SOON, WorkerProcess, feed, read_until

pytestmark = pytest.mark.timeout(5000)


async def test_it_shows_what_a_real_worker_does_from_before_its_topics_exist(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    settings = settings_for(**TRAINS_SOON)
    topics = load_topics(settings.topics_file)
    ticks = list(walk(1100, symbol="A"))
    with DashboardProcess(settings, tmp_path / "dashboard.log") as dashboard:
        async with aiohttp.ClientSession() as http, http.get(dashboard.url) as page:
            assert "<title>stream-app</title>" in await page.text()
        async with watching(dashboard.url, "symbol=A&view=day") as seen:
            await seen.until(lambda new: check(new, "ready")["level"] == "bad")
            assert topics.ticks.name in " ".join(seen.newest["health"]["problems"])
            await apply_topics(topics, client_settings(settings))
            await seen.until(lambda new: not new["health"]["problems"])
            with WorkerProcess(settings, tmp_path / "worker.log") as worker:
                await feed(settings, ticks[:1000])
                await seen.until(lambda new: new["answer"]["ts"] == ticks[999].ts)
                await seen.until(lambda new: len(new["history"]["columns"]["ts"]) >= 200)
                await seen.until(lambda new: new["retrains"]["cycles"] != [])
                assert seen.newest["retrains"]["cycles"][0]["state"] == "succeeded"
                await seen.until(lambda new: new["about"]["versions"] != [])
                await feed(settings, ticks[1000:1050])
                await seen.until(lambda new: len(new["answer"]["members"]) == 4)
                await seen.until(lambda new: check(new, "ready")["level"] == "ok")
                await seen.until(lambda new: new["table"]["rows"][0]["symbol"] == "A")
                async with connected_producer(settings) as producer:
                    await producer.send_and_wait(topics.ticks.name, b"not json", key=b"A")
                await seen.until(lambda new: new["letters"]["counts"] == {"not_json": 1})
                assert seen.newest["letters"]["newest"][0]["value"] == "not json"
                await _only_the_worker_is_in_the_group(settings_for, settings)
                worker.kill()
                await feed(settings, ticks[1050:])
                await seen.until(lambda new: check(new, "ready")["level"] == "bad")
                worker.start()
                await seen.until(lambda new: new["answer"]["ts"] == ticks[-1].ts)
                await seen.until(lambda new: check(new, "ready")["level"] == "ok")
                assert worker.terminate() == 0, worker.text()
        assert dashboard.terminate() == 0
    assert "Traceback" not in (tmp_path / "dashboard.log").read_text()


async def _only_the_worker_is_in_the_group(_for: SettingsFor, settings: Any) -> None:
    topic = load_topics(settings.topics_file).ticks.name
    async with open_group(
        client_settings(settings), group=settings.consumer_group, topic=topic
    ) as view:
        assert len(await view.members() or ()) == 1


async def test_a_retrain_that_takes_too_long_is_shown_with_its_reason(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    limits = {"retrain_target_seconds": 1, "retrain_deadline_seconds": 1, "lstm_epochs": 100_000}
    settings = settings_for(**{**TRAINS_SOON, **limits})
    with (
        DashboardProcess(settings, tmp_path / "dashboard.log") as dashboard,
        WorkerProcess(settings, tmp_path / "worker.log"),
    ):
        async with watching(dashboard.url, "symbol=A") as seen:
            await feed(settings, walk(1000, symbol="A"))
            await seen.until(lambda new: check(new, "retrain")["level"] == "bad")
            assert seen.newest["health"]["level"] == "bad"
            # an event of its own, which may come after the one with the checks
            await seen.until(lambda new: new["retrains"]["cycles"] != [])
            cycle = seen.newest["retrains"]["cycles"][0]
            assert cycle["state"] == "timed_out"
            assert cycle["reasons"][0].startswith("A: ")


async def test_it_begins_with_what_was_there_before_it_started(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**TRAINS_SOON)
    ticks = list(islice(walk(2000, symbol="A"), 2000))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, ticks)
        await read_until(worker, topics_on_broker.predictions, 2000)
        await worker.until("(all 4 models)")
        with DashboardProcess(settings, tmp_path / "dashboard.log") as dashboard:
            async with watching(dashboard.url, "symbol=A&view=day") as seen:
                await seen.until(lambda new: new["answer"]["ts"] == ticks[-1].ts)
                await seen.until(lambda new: new["retrains"]["cycles"] != [])
                # 2,000 ticks, four a bar; the page keeps a day of five-minute ones
                await seen.until(lambda new: len(new["history"]["columns"]["ts"]) == 288)
                await seen.until(
                    lambda new: new["about"]["running"]["day"]["published"]["n"] >= 200
                )
                assert seen.newest["health"]["refused"] == 0
        assert worker.terminate() == 0, worker.text()


async def made_anew(topics: Topics, client: dict[str, Any]) -> None:
    """Make the topics as topics.yaml has them.

    The embedded broker makes a topic that is read before, with partitions of its own.
    """
    async with asyncio.timeout(DEADLINE_S):
        while True:
            await apply_topics(topics, client)
            if not (await check_topics(topics, client)).mismatches:
                return
            admin = AIOKafkaAdminClient(**client)
            await admin.start()
            try:
                await admin.delete_topics([spec.name for spec in topics.specs])
            finally:
                await admin.close()


async def test_it_lives_through_a_broker_that_comes_back_empty(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        settings = load_settings(
            **broker.settings_overrides, **TRAINS_SOON, data_dir=tmp_path / "data", web_port=0
        )
        topics = load_topics(settings.topics_file)
        await apply_topics(topics, client_settings(settings))
        process = broker._process
        assert process is not None
        with DashboardProcess(settings, tmp_path / "dashboard.log") as dashboard:
            async with watching(dashboard.url, "symbol=A") as seen:
                with WorkerProcess(settings, tmp_path / "worker.log"):
                    await feed(settings, walk(100, symbol="A"))
                    await seen.until(lambda new: new["answer"]["symbol"] == "A")
                process.end(signal.SIGKILL)
                await seen.until(lambda new: new["health"]["broker"] == "away")
                process.start()
                await seen.until(lambda new: new["health"]["problems"] != [])
                await made_anew(topics, client_settings(settings))
                await seen.until(lambda new: new["health"]["problems"] == [])
                again = list(walk(50, symbol="A", seed=9))
                with WorkerProcess(settings, tmp_path / "worker.log"):
                    await feed(settings, again)
                    await seen.until(lambda new: new["answer"]["ts"] == again[-1].ts)
                    await seen.until(lambda new: check(new, "ready")["level"] != "bad")
        assert "Traceback" not in (tmp_path / "dashboard.log").read_text()
