"""`stream-app drift` as a process: alarms from scores, each once through kills; early retrains."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from stream_app.drift.run import group_of
from stream_app.drift.watch import DriftWatch
from stream_app.kafka.connection import client_settings
from stream_app.kafka.group import open_group
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics, apply_topics
from stream_app.messages.codec import decode_drift, encode_drift, encode_score
from stream_app.messages.schemas import Drift, Score, Source
from stream_app.settings import Settings
from tests.broker.test_champions import cycles
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.drifting import drifting
from tests.workers import DEADLINE_S, WorkerProcess, feed, read_all, read_until

pytestmark = pytest.mark.timeout(1800)

PARTITION = 2
CHANGED = 800
# The errors of one symbol grow and stay so, the innovations of the other one later.
BTC = drifting(2000, errors_from=CHANGED)
ETH = drifting(2000, symbol="ETH", seed=8, innovations_from=1400)
SCORES = [each for pair in zip(BTC, ETH, strict=True) for each in pair]


async def write(settings: Settings, topics: Topics, scores: Sequence[Score]) -> None:
    async with connected_producer(settings) as producer:
        sent = [
            await producer.send(
                topics.scores.name,
                encode_score(each),
                key=each.symbol.encode(),
                partition=PARTITION,
            )
            for each in scores
        ]
        await asyncio.gather(*sent)


def expected(topics: Topics, scores: Sequence[Score]) -> list[Drift]:
    """What the detectors say of these scores, in their order."""
    watch = DriftWatch(30.0)
    return [
        alarm
        for offset, each in enumerate(scores)
        for alarm in watch.take(
            each, Source(topic=topics.scores.name, partition=PARTITION, offset=offset)
        )
    ]


async def alarms(settings: Settings, topics: Topics) -> list[Drift]:
    return [decode_drift(each.value or b"") for each in await read_all(settings, topics.drift)]


async def until_alarms(process: WorkerProcess, topics: Topics, count: int) -> list[Drift]:
    async with asyncio.timeout(DEADLINE_S):
        while len(found := await alarms(process.settings, topics)) < count:
            assert process.process.poll() is None, process.text()
            await asyncio.sleep(0.1)
    return found


async def until_committed(settings: Settings, topics: Topics, offset: int) -> None:
    """Another score is written again and again, for a commit follows only what is read."""
    name = topics.scores.name
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with open_group(
                client_settings(settings), group=group_of(settings), topic=name
            ) as view:
                places = await view.places(await view.known_topic(), [PARTITION])
            if (places[PARTITION].committed or 0) >= offset:
                return
            await write(settings, topics, [SCORES[0]])  # one that comes again changes nothing
            await asyncio.sleep(0.5)


async def test_each_alarm_is_published_once_through_kills(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings, topics = settings_for(), topics_on_broker
    whole = expected(topics, SCORES)
    assert {(each.symbol, each.input) for each in whole} >= {
        ("BTC", "errors"),
        ("ETH", "innovations"),
    }
    parts = [0, 2 * CHANGED + 40, 2 * CHANGED + 300, 2900, len(SCORES)]
    with WorkerProcess(settings, tmp_path / "drift.log", command="drift") as process:
        for first, end in pairwise(parts):
            await write(settings, topics, SCORES[first:end])
            known = expected(topics, SCORES[:end])
            # Killed as soon as there is one more: the commit comes up to a second later.
            so_far = len(await alarms(settings, topics))
            await until_alarms(process, topics, min(so_far + 1, len(known)))
            process.kill()
            process.start()
        found = await until_alarms(process, topics, len(whole))
        await until_committed(settings, topics, len(SCORES))
        assert process.terminate() == 0, process.text()
    assert len(found) == len({each.id for each in found})
    assert sorted(found, key=lambda each: each.id) == sorted(whole, key=lambda each: each.id)
    keys = {each.key for each in await read_all(settings, topics.drift)}
    assert keys == {b"BTC", b"ETH"}


async def test_with_another_setting_only_what_is_new_is_judged_anew(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings, topics = settings_for(), topics_on_broker
    await write(settings, topics, SCORES[:2400])
    log = tmp_path / "drift.log"
    with WorkerProcess(settings, log, command="drift") as process:
        before = await until_alarms(process, topics, len(expected(topics, SCORES[:2400])))
        await until_committed(settings, topics, 2400)
        process.kill()
    quick = settings.model_copy(update={"drift_false_alarm_days": 0.5})
    with WorkerProcess(quick, log, command="drift") as process:
        await write(settings, topics, SCORES[2400:])
        found = await until_alarms(process, topics, len(before) + 1)
        assert process.terminate() == 0, process.text()
    assert found[: len(before)] == before
    assert {each.false_alarm_days for each in found[len(before) :]} == {0.5}
    assert min(each.source.offset for each in found[len(before) :]) >= 2400


async def test_scores_of_a_topic_made_anew_are_news_and_bad_ones_are_left_out(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings, topics = settings_for(), topics_on_broker
    later = [replace(each, ts_open=each.ts_open + 10**10, ts_target=each.ts_target + 10**10)
             for each in BTC[:CHANGED + 200]]  # fmt: skip
    log = tmp_path / "drift.log"
    with WorkerProcess(settings, log, command="drift") as process:
        await write(settings, topics, BTC)
        before = await until_alarms(process, topics, len(expected(topics, BTC)))
        await until_committed(settings, topics, len(BTC))
        assert process.terminate() == 0, process.text()
    admin = AIOKafkaAdminClient(**client_settings(settings))
    await admin.start()
    try:
        await admin.delete_topics([topics.scores.name])
        await asyncio.sleep(1.0)  # Kafka's deletion goes on after the answer
    finally:
        await admin.close()
    await apply_topics(topics, client_settings(settings))
    async with connected_producer(settings) as producer:
        await producer.send_and_wait(topics.scores.name, b"no JSON", partition=PARTITION)
    await write(settings, topics, later)
    with WorkerProcess(settings, log, command="drift") as process:
        found = await until_alarms(process, topics, len(before) + 1)
        assert "left out" in process.text()
        assert process.terminate() == 0, process.text()
    assert found[len(before)].ts >= later[CHANGED].ts_open


SMALL: dict[str, Any] = {
    "bar_seconds": 60,
    "training_window_days": 1,
    "min_training_bars": 200,
    "lstm_epochs": 1,
    "lstm_sequence_length": 8,
    "lstm_layers": (8, 4),
    "retrain_interval_hours": 1000,
    "retrain_deadline_seconds": 600,
}


async def test_an_alarm_lets_a_worker_train_its_symbol_early_once(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings, topics = settings_for(**SMALL, drift_retrain=True), topics_on_broker
    ticks = list(walk(1000))
    alarm = expected(topics, BTC)[0]
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, ticks)
        await read_until(worker, topics.predictions, len(ticks))
        await cycles(worker, topics, 1)
        async with connected_producer(settings) as producer:
            for number, ts in enumerate((0, ticks[-1].ts, ticks[-1].ts)):
                value = encode_drift(replace(alarm, id=str(number), ts=ts))
                await producer.send_and_wait(topics.drift.name, value, key=b"BTC", partition=0)
        early = (await cycles(worker, topics, 2))[1]
        assert (early["trigger"], list(early["versions"])) == ("drift", ["BTC"])
        assert worker.text().count("is trained early: errors have changed") == 1
        assert worker.terminate() == 0, worker.text()
