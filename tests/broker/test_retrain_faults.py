"""A retrain job that raises, hangs, is killed, runs out of memory or gives NaN, in a real worker:
the champions go on, the event says why, predictions do not pause, the next cycle runs."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.demo.ticks import live
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import produce
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics, load_topics
from stream_app.messages.schemas import Tick
from stream_app.settings import Settings
from tests.builders import START_MS, walk
from tests.conftest import SettingsFor, needs_kafka
from tests.faults import FAULTS
from tests.figures import note
from tests.workers import WorkerProcess, feed, read_all

pytestmark = pytest.mark.timeout(5000)

PATIENCE_S = 900.0
"""For one event. Training gives way to everything else on the machine."""


async def events_until(
    worker: WorkerProcess, topics: Topics, state: str, after: int, *, words: str = ""
) -> list[Any]:
    """The retrain events, once one in this state, with these words as reason, has come after the
    first `after`. On a busy machine others come before: a training process may be slow to start.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            records = await read_all(worker.settings, topics.retrain_events)
            events = [orjson.loads(record.value or b"") for record in records]
            for number, event in enumerate(events[after:], after + 1):
                if event["state"] == state and words in "".join(event["reasons"]):
                    return events[:number]
            assert worker.process.poll() is None, worker.text()
            await asyncio.sleep(0.3)


async def feed_on(settings: Settings, last: Tick, stop: asyncio.Event) -> None:
    """Live ticks, a day after the history, which go on from its last price."""
    async with connected_producer(settings) as producer:
        await produce(
            live(replace(last, ts=START_MS + 86_400_000), 500),
            producer=producer,
            topic=load_topics(settings.topics_file).ticks.name,
            pace=Pace(Speed(per_second=500)),
            on_progress=lambda _count, _ts: None,
            stop=stop,
        )


@pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True)
async def test_the_champions_go_on_and_the_next_cycle_runs(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(
        bar_seconds=60,
        training_window_days=1,
        min_training_bars=200,
        lstm_epochs=1,
        retrain_interval_hours=4 / 3600,
        retrain_target_seconds=10,
        retrain_deadline_seconds=40,
    )
    file = tmp_path / "fault"
    variables = {"STREAM_APP_FAULT_FILE": str(file)}
    log = tmp_path / "worker.log"
    stop = asyncio.Event()
    with WorkerProcess(settings, log, module="tests.faults", variables=variables) as worker:
        history = list(walk(1000, symbol="A"))
        await feed(settings, history)
        events = await events_until(worker, topics_on_broker, "succeeded", 0)
        feeding = asyncio.create_task(feed_on(settings, history[-1], stop))
        await asyncio.sleep(2)
        spans = []
        for fault, words in FAULTS.items():
            began = time.time()
            file.write_text(fault)
            state = "timed_out" if fault == "hang" else "failed"
            events = await events_until(worker, topics_on_broker, state, len(events), words=words)
            assert events[-1]["versions"] == {}
            file.unlink()
            events = await events_until(worker, topics_on_broker, "succeeded", len(events))
            spans.append((began, time.time()))
            assert events[-1]["lstm_included"]
        stop.set()
        await feeding
        records = await read_all(settings, topics_on_broker.predictions)
        assert worker.terminate() == 0, worker.text()
    answered = [orjson.loads(record.value or b"") for record in records[1000:]]
    assert all(message["degraded"] == [] for message in answered)
    times = [record.timestamp for record in records[1200:]]
    for fault, (began, ended) in zip(FAULTS, spans, strict=True):
        during = [at for at in times if 1000 * began <= at <= 1000 * ended]
        gap = max(later - earlier for earlier, later in itertools.pairwise(during))
        note(
            f"a retrain job with the fault '{fault}': longest gap between predictions, 500/s",
            "under 250 ms",
            f"{gap} ms",
        )
