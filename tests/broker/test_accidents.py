"""Each accident of docs/accidents.md: what the worker says, and that the procedure works."""

from __future__ import annotations

import asyncio
import base64
import secrets
import shutil
import subprocess
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.structs import OffsetAndMetadata

from stream_app.brokers import Broker
from stream_app.brokers.kafka import KafkaBroker
from stream_app.cli import main
from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.kafka.group import open_group, reading_problems
from stream_app.kafka.topic_check import Topics, apply_topics, load_topics
from stream_app.settings import Settings, load_settings
from tests.builders import walk
from tests.conftest import SettingsFor, needs_kafka
from tests.workers import DEADLINE_S, WorkerProcess, feed, read_all, read_until

pytestmark = pytest.mark.timeout(900)

ON_KAFKA = pytest.mark.parametrize(
    "broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True
)
SMALL: dict[str, Any] = {"bar_seconds": 60, "training_window_days": 1, "min_training_bars": 1400}
OLD = list(walk(400, symbol="A"))
NEW = list(walk(300, symbol="A", seed=2))
BATCH = 40


def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """A command as an operator types it."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    main(list(words))


async def at_the_shell(settings: Settings, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    await asyncio.to_thread(command, settings, monkeypatch, *words)


async def ended(worker: WorkerProcess) -> int:
    return await asyncio.to_thread(worker.process.wait, DEADLINE_S)


async def make_anew(settings: Settings) -> None:
    """Delete the ticks topic and create it again, as `kafka-topics.sh --delete` and apply do."""
    topics = load_topics(settings.topics_file)
    admin = AIOKafkaAdminClient(**client_settings(settings))
    await admin.start()
    try:
        await admin.delete_topics([topics.ticks.name])
        async with asyncio.timeout(DEADLINE_S):
            while topics.ticks.name in await admin.list_topics():
                await asyncio.sleep(0.1)
        await apply_topics(topics, client_settings(settings))
    finally:
        await admin.close()


def ids(messages: Iterable[Any]) -> set[str]:
    return {message["id"] for message in messages}


async def answer(worker: WorkerProcess, topics: Topics, ticks: list[Any]) -> set[str]:
    """Feed and wait until all are answered; stops the worker in order. Returns the ids."""
    await feed(worker.settings, ticks)
    messages = await read_until(worker, topics.predictions, len(ticks))
    assert worker.terminate() == 0, worker.text()
    return ids(messages)


@pytest.mark.parametrize("meanwhile", ["running", "stopped"])
async def test_a_topic_that_is_made_anew_stops_the_worker_and_a_reset_reads_it(
    settings_for: SettingsFor,
    topics_on_broker: Topics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    settings = settings_for(**SMALL)
    name = topics_on_broker.ticks.name
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, log) as worker:
        before = await answer(worker, topics_on_broker, OLD)
        assert all(item.startswith(f"{name}@") for item in before)
        if meanwhile == "running":
            worker.start()
            await worker.until("restored")
        await make_anew(settings)
        await feed(settings, NEW)
        if meanwhile == "running":
            assert await ended(worker) == 1, worker.text()
            assert "it was recreated (its id was" in worker.text()
            assert "Traceback" not in worker.text().split("the worker ends")[1]
        worker.start()  # as its supervisor does
        assert await ended(worker) == 1, worker.text()
        assert "it was recreated (its id was" in worker.text()
        assert "stream-app group reset" in worker.text()
        assert ids_of(await read_all(settings, topics_on_broker.predictions)) == before

        await at_the_shell(settings, monkeypatch, "group", "reset", "--yes")
        worker.start()
        messages = await read_until(worker, topics_on_broker.predictions, len(before) + len(NEW))
        assert worker.terminate() == 0, worker.text()
        after = ids(messages) - before
        assert len(after) == len(NEW)
        assert all(item.startswith(f"{name}@") for item in after)
        # The window goes on from the new topic's bars alone, and the ids stay.
        await feed(settings, list(walk(10, symbol="A", seed=2, start=NEW[-1].ts + 15_000)))
        worker.start()
        more = await read_until(worker, topics_on_broker.predictions, len(before) + len(NEW) + 10)
        assert worker.terminate() == 0, worker.text()
        assert len(ids(more)) == len(before) + len(NEW) + 10
        bars = len(NEW) * 15 // 60
        assert f"restored 1 symbols, {bars - 1} bars" in worker.text()


def ids_of(records: Iterable[Any]) -> set[str]:
    return {orjson.loads(record.value)["id"] for record in records}


async def test_a_group_that_is_gone_goes_on_from_what_the_bars_cover(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    first = settings_for(**SMALL, max_batch_ticks=BATCH)
    with WorkerProcess(first, tmp_path / "first.log") as worker:
        await answer(worker, topics_on_broker, OLD)
    # Expired, deleted or renamed: the group that reads now has committed nothing.
    settings = settings_for(**SMALL)
    with WorkerProcess(settings, tmp_path / "second.log") as worker:
        await worker.until("restored 1 symbols")
        assert "has committed no offset, but bars cover the ticks before offset" in worker.text()
        await feed(settings, list(walk(20, symbol="A", start=OLD[-1].ts + 15_000)))
        await read_until(worker, topics_on_broker.predictions, len(OLD) + 20)
        assert worker.terminate() == 0, worker.text()
    records = await read_all(settings, topics_on_broker.predictions)
    assert len(ids_of(records)) == len(OLD) + 20
    # Answered again: the last batch, and bars of four ticks that were open when it began.
    assert len(records) <= len(OLD) + 20 + BATCH + 3 * 4
    # The commit is there again: the next start is an ordinary one.
    with WorkerProcess(settings, tmp_path / "third.log") as worker:
        await worker.until("restored 1 symbols")
        assert worker.terminate() == 0, worker.text()
        assert "has committed no offset" not in worker.text()


async def test_who_wants_everything_answered_again_resets_the_group(
    settings_for: SettingsFor,
    topics_on_broker: Topics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = settings_for(**SMALL)
    with WorkerProcess(first, tmp_path / "first.log") as worker:
        before = await answer(worker, topics_on_broker, OLD)
    settings = settings_for(**SMALL)
    await at_the_shell(settings, monkeypatch, "group", "reset", "--yes")
    assert f"begins at the beginning, {len(OLD)} ticks" in capsys.readouterr().out
    with WorkerProcess(settings, tmp_path / "second.log") as worker:
        async with asyncio.timeout(DEADLINE_S):
            while len(records := await read_all(settings, topics_on_broker.predictions)) < 2 * len(
                OLD
            ):
                await asyncio.sleep(0.2)
        assert worker.terminate() == 0, worker.text()
    assert ids_of(records) == before


async def test_a_group_with_a_running_worker_is_not_reset(
    settings_for: SettingsFor,
    topics_on_broker: Topics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = settings_for(**SMALL)
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await worker.until("restored")
        with pytest.raises(SystemExit) as refused:
            await at_the_shell(settings, monkeypatch, "group", "reset", "--yes")
        assert refused.value.code == 2
        assert "a worker of it still runs; stop all of them" in capsys.readouterr().err
        assert worker.terminate() == 0, worker.text()


async def test_a_commit_beyond_the_end_stops_the_worker_and_a_reset_mends_it(
    settings_for: SettingsFor,
    topics_on_broker: Topics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broker: Broker,
) -> None:
    settings = settings_for(**SMALL)
    name = topics_on_broker.ticks.name
    await feed(settings, OLD)
    member = AIOKafkaConsumer(**client_settings(settings), group_id=settings.consumer_group)
    await member.start()
    try:
        tps = [TopicPartition(name, number) for number in range(topics_on_broker.ticks.partitions)]
        member.assign(tps)
        await member.commit({tp: OffsetAndMetadata(16_544, "") for tp in tps})
    finally:
        await member.stop()
    problems = await reading_problems(
        client_settings(settings), group=settings.consumer_group, topic=name
    )
    assert "has committed offset 16544, but the log ends at" in problems[0]
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        assert await ended(worker) == 1, worker.text()
        assert "has committed offset 16544, but the log ends at" in worker.text()
        if not isinstance(broker, KafkaBroker):
            return  # the embedded broker keeps a member that went away while it was joining
        await at_the_shell(settings, monkeypatch, "group", "reset", "--yes")
        worker.start()
        assert len(await read_until(worker, topics_on_broker.predictions, len(OLD))) == len(OLD)
        assert worker.terminate() == 0, worker.text()


@ON_KAFKA
async def test_commits_note_the_topic_that_they_belong_to(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    name = topics_on_broker.ticks.name
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await answer(worker, topics_on_broker, OLD)
    client = client_settings(settings)
    async with open_group(client, group=settings.consumer_group, topic=name) as view:
        topic = await view.known_topic()
        places = await view.places(topic, range(topic.partitions))
    (used,) = [place for place in places.values() if place.end]
    assert topic.topic_id
    assert (used.committed, used.committed_topic_id) == (len(OLD), topic.topic_id)


async def add_partitions(settings: Settings, name: str, count: int) -> None:
    admin = AIOKafkaAdminClient(**client_settings(settings))
    await admin.start()
    try:
        await admin.create_partitions({name: NewPartitions(count)})
    finally:
        await admin.close()


@ON_KAFKA
async def test_partitions_without_their_twins_end_the_worker_and_the_remedy_works(
    settings_for: SettingsFor,
    topics_on_broker: Topics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_for(**SMALL)
    ticks = topics_on_broker.ticks
    wider = ticks.partitions + 2
    co_partitioned = [
        spec.name
        for spec in (
            ticks,
            topics_on_broker.bars,
            topics_on_broker.predictions,
            topics_on_broker.dead_letters,
            topics_on_broker.scores,
        )
    ]
    remedy = (
        f"set `partitions: {wider}` for {', '.join(co_partitioned)} in topics.yaml and run "
        "`stream-app topics apply`"
    )
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, log, module="tests.impatient") as worker:
        await worker.until("restored")
        await add_partitions(settings, ticks.name, wider)
        assert await ended(worker) == 1, worker.text()
        assert remedy in worker.text()
        worker.start()  # as its supervisor does
        assert await ended(worker) == 2, worker.text()
        assert remedy in worker.text()

        content = yaml.safe_load(settings.topics_file.read_text())
        for name in co_partitioned:
            content["topics"][name]["partitions"] = wider
        settings.topics_file.write_text(yaml.safe_dump(content, sort_keys=False))
        await at_the_shell(settings, monkeypatch, "topics", "apply")
        worker.start()
        await worker.until(f"partition {wider - 1}: restored")
        everything = [tick for n in range(12) for tick in walk(20, symbol=f"S{n}")]
        await feed(settings, everything)
        topics = load_topics(settings.topics_file)
        messages = await read_until(worker, topics.predictions, len(everything))
        assert worker.terminate() == 0, worker.text()
    assert len(ids(messages)) == len(everything)
    assert max(message["source"]["partition"] for message in messages) >= ticks.partitions


def wipe(broker: KafkaBroker, home: Path) -> None:
    """Take a stopped broker's disk away and format a new one, as after a lost volume."""
    assert broker._files is not None
    files = Path(broker._files.name)
    shutil.rmtree(files / "data")
    cluster = base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")
    subprocess.run(
        [
            str(home / "bin" / "kafka-storage.sh"),
            "format",
            "-t",
            cluster,
            "-c",
            str(files / "server.properties"),
        ],
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "LOG_DIR": str(files / "logs")},
        check=True,
        capture_output=True,
        timeout=120,
    )


async def test_a_broker_that_was_wiped_stops_the_worker_and_the_next_one_answers_all(
    kafka_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KafkaBroker(kafka_home) as broker:
        settings = load_settings(
            **broker.settings_overrides,
            **SMALL,
            consumer_group=f"wiped-{uuid.uuid4().hex[:8]}",
            data_dir=tmp_path / "data",
            web_port=0,
        )
        topics = load_topics(settings.topics_file)
        await apply_topics(topics, client_settings(settings))
        with WorkerProcess(settings, tmp_path / "worker.log") as worker:
            await feed(settings, OLD)
            before = ids(await read_until(worker, topics.predictions, len(OLD)))
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(wipe, broker, kafka_home)
            await asyncio.to_thread(broker.start)
            await wait_until_reachable(settings, 60)
            await apply_topics(topics, client_settings(settings))
            await feed(settings, NEW)
            assert await ended(worker) == 1, worker.text()
            assert "it was recreated (its id was" in worker.text()
            await at_the_shell(settings, monkeypatch, "group", "reset", "--yes")
            worker.start()
            messages = await read_until(worker, topics.predictions, len(NEW))
            assert worker.terminate() == 0, worker.text()
    assert len(ids(messages)) == len(NEW)
    assert not before & ids(messages)  # a store outside of the broker keeps both


async def test_partitions_that_nobody_reads_are_named(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    await feed(settings, OLD)
    client, name = client_settings(settings), topics_on_broker.ticks.name
    (line,) = await reading_problems(client, group=settings.consumer_group, topic=name)
    assert line == (
        f"no worker of the group {settings.consumer_group} reads {name} partition 0, 1, 2, 3: "
        f"{len(OLD)} ticks wait"
    )
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await read_until(worker, topics_on_broker.predictions, len(OLD))
        assert await reading_problems(client, group=settings.consumer_group, topic=name) == ()
        assert worker.terminate() == 0, worker.text()
