"""What a real worker serves at /metrics, and what a real Prometheus makes of it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics
from stream_app.models.catalog import CATALOG
from stream_app.ops.metrics import TABLE
from stream_app.settings import Settings
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.observed import ALERTS, FOLDER, plain, queries
from tests.scraped import address, names_of, scrape, value
from tests.workers import DEADLINE_S, WorkerProcess, feed, read_until

pytestmark = pytest.mark.timeout(1200)

TRAINING_S = 5 * DEADLINE_S
"""A process of the pool has the lowest priority: on a busy machine it takes minutes to start."""

BARS = 1500
"""A day and an hour of minutes: a day's figures need a full hour, a week's a full day."""


def small(settings_for: SettingsFor, **overrides: Any) -> Settings:
    return settings_for(
        bar_seconds=60,
        training_window_days=3,
        lstm_epochs=1,
        retrain_target_seconds=TRAINING_S,
        retrain_deadline_seconds=TRAINING_S,
        **overrides,
    )


@asynccontextmanager
async def answering_worker(
    settings: Settings, topics: Topics, folder: Path
) -> AsyncIterator[WorkerProcess]:
    """A worker that has answered ticks, a bad record among them."""
    ticks = list(walk(4 * BARS))
    with WorkerProcess(settings, folder / "worker.log") as worker:
        await feed(settings, ticks[:-4])
        async with AIOKafkaProducer(**client_settings(settings)) as producer:
            await producer.send_and_wait(topics.ticks.name, b"not json", key=b"X", partition=0)
        await feed(settings, ticks[-4:])
        await read_until(worker, topics.predictions, len(ticks))
        yield worker
        assert worker.terminate() == 0, worker.text()


async def test_a_worker_serves_each_metric_of_the_table_with_what_has_happened(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = small(settings_for, min_training_bars=200)

    def is_done(text: str) -> bool:
        return (
            value(text, "stream_app_dead_letters_total", reason="not_json") >= 1
            and value(text, "stream_app_retrain_seconds_count", outcome="succeeded") >= 1
            and not any(
                value(text, "stream_app_lag_records", partition=str(number))
                for number in range(topics_on_broker.ticks.partitions)
            )
        )

    async with answering_worker(settings, topics_on_broker, tmp_path) as worker:
        text = await scrape(worker)
        async with asyncio.timeout(TRAINING_S):
            while not is_done(text):
                assert "Retraining failed" not in worker.text()
                await asyncio.sleep(0.5)
                text = await scrape(worker)
    families = list(text_string_to_metric_families(text))
    # The parser makes a gauge with the whole name of what is an info to the library.
    assert {name for name in names_of(families) if name.startswith("stream_app_")} == {
        item.name for item in TABLE
    }
    labels = {item.name: set(item.labels) for item in TABLE}
    for family in families:
        for sample in family.samples:
            known = labels.get(family.name, labels.get(f"{family.name}_total", set()))
            if family.name.startswith("stream_app_") and family.name != "stream_app_build_info":
                assert set(sample.labels) - {"le"} == known, sample
    read = value(text, "stream_app_ticks_read_total")
    assert read >= 4 * BARS + 1
    assert value(text, "stream_app_predictions_total") >= 4 * BARS
    assert value(text, "stream_app_tick_to_prediction_seconds_count") == read
    batches = value(text, "stream_app_batch_seconds_count")
    assert 0 < batches == value(text, "stream_app_publish_seconds_count")
    assert value(text, "stream_app_retrain_seconds_count", outcome="succeeded") >= 1
    for model in CATALOG:
        training = {"model": model, "outcome": "succeeded"}
        assert value(text, "stream_app_training_seconds_count", **training) >= 1
        assert value(text, "stream_app_training_seconds_sum", **training) > 0
    assert value(text, "stream_app_gate_decisions_total", decision="promoted", reason="") >= 1
    assert value(text, "stream_app_restore_seconds_count") >= topics_on_broker.ticks.partitions
    assert value(text, "stream_app_rebalance_seconds_count") >= 1
    assert value(text, "stream_app_event_loop_delay_seconds_count") > 0
    assert value(text, "stream_app_ready") == 1
    assert value(text, "stream_app_partitions") == topics_on_broker.ticks.partitions
    assert value(text, "stream_app_symbols") == value(text, "stream_app_symbols_trained") == 1
    now = time.time()
    for moment in ("last_prediction", "last_retrain_success", "last_lag_look"):
        assert 0 <= now - value(text, f"stream_app_{moment}_timestamp_seconds") < 3600
    assert value(text, "stream_app_mse_skill_ratio", symbol="BTC", forecaster="published") < 1
    assert 0 < value(text, "stream_app_interval_coverage_ratio", symbol="BTC", level="0.9") <= 1
    assert "_created" not in text


@contextmanager
def prometheus(worker: WorkerProcess, folder: Path) -> Iterator[str]:
    """A Prometheus as docker-compose.yml starts it, as a process beside the worker; its address."""
    compose = yaml.safe_load((FOLDER.parents[1] / "docker-compose.yml").read_text())
    configured = (FOLDER / "prometheus.yml").read_text()
    assert "worker:6066" in configured
    (folder / "prometheus.yml").write_text(
        configured.replace("worker:6066", address(worker)).replace("15s", "1s")
    )
    shutil.copy(FOLDER / "alerts.yml", folder)
    command = [
        option.replace("/etc/prometheus", str(folder)).replace("=/prometheus", f"={folder}/tsdb")
        for option in compose["services"]["prometheus"]["command"]
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    log = folder / "prometheus.log"
    with log.open("wb") as sink:
        running = subprocess.Popen(
            ["prometheus", *command, f"--web.listen-address={listen}"], stdout=sink, stderr=sink
        )
    try:
        yield f"http://{listen}"
        assert running.poll() is None, log.read_text()
    finally:
        running.terminate()
        running.wait(30)


async def ask(session: aiohttp.ClientSession, url: str, **query: str) -> Any:
    """The data of an answer of Prometheus' API; None before it serves."""
    try:
        async with session.get(url, params=query) as response:
            answer = await response.json(content_type=None)
    except (aiohttp.ClientError, ValueError):
        return None
    assert answer["status"] == "success", (query, answer)
    return answer["data"]


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus: apt-get install it")
async def test_a_prometheus_scrapes_it_watches_the_alerts_and_answers_the_dashboard(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = small(settings_for, min_training_bars=4000)
    async with (
        answering_worker(settings, topics_on_broker, tmp_path) as worker,
        aiohttp.ClientSession() as session,
    ):
        with prometheus(worker, tmp_path) as url:
            async with asyncio.timeout(DEADLINE_S):
                twice = "rate(stream_app_ticks_read_total[1h])"  # has a value from two scrapes on
                while not (
                    (found := await ask(session, f"{url}/api/v1/query", query=twice))
                    and found["result"]
                ):
                    await asyncio.sleep(0.5)
                while True:  # until each rule was looked at
                    groups = (await ask(session, f"{url}/api/v1/rules"))["groups"]
                    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
                    if all(rule["health"] != "unknown" for rule in rules.values()):
                        break
                    await asyncio.sleep(0.5)
            up = await ask(session, f"{url}/api/v1/query", query='up{job="stream-app"}')
            assert [sample["value"][1] for sample in up["result"]] == ["1"]
            assert rules.keys() == {rule["alert"] for rule in ALERTS}
            assert {name: rule.get("lastError") for name, rule in rules.items()} == dict.fromkeys(
                rules
            )
            assert {rule["health"] for rule in rules.values()} == {"ok"}
            silent = []
            for where, expression in queries().items():
                query = plain(expression).replace("[1m]", "[1h]")
                answer = await ask(session, f"{url}/api/v1/query", query=query)
                if not answer["result"]:
                    silent.append(where)
            # Nothing failed and nothing was trained.
            quiet = {where for where, query in queries().items() if "> 0" in query}
            assert set(silent) <= quiet
