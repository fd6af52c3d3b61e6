"""All of Kafka's compressions, for every kind of message and in every command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest

from stream_app.brokers import Broker
from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import COMPRESSION, connected_producer
from stream_app.kafka.topic_check import Topics, TopicSpec, apply_topics, load_topics
from stream_app.messages.codec import decode_bar
from stream_app.messages.schemas import Champion, Tick
from stream_app.settings import Settings
from stream_app.worker.publisher import Publisher
from tests.broker.records import read
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.fuzz_codec import EVENT
from tests.topic_records import alarm
from tests.workers import WorkerProcess, ended_command, read_all, read_until, read_while

pytestmark = pytest.mark.timeout(600)

SMALL = {
    "bar_seconds": 60,
    "training_window_days": 1,
    "min_training_bars": 200,
    "lstm_epochs": 1,
    "lstm_layers": (4,),
    "lstm_sequence_length": 8,
    "retrain_processes": 1,
    "retrain_target_seconds": 3000,
    "retrain_deadline_seconds": 3000,
}
CODECS = ("gzip", "snappy", "lz4", "zstd")
NUMBERS = dict(enumerate(("none", *CODECS)))
"""By what a record batch's attributes say."""
CHAMPION = Champion(
    symbol="B",
    version="20220101T000000Z-00000000",
    since="2022-01-01T00:00:00.000+00:00",
    by="retrain",
    why="test",
    pinned=False,
    worker="w",
)
ALARM = alarm(0).value
EACH = 250
"""Ticks with one compression: a minute has four."""


def run(settings: Settings, *arguments: str, code: int = 0) -> str:
    """What a command prints on standard output."""
    ended = ended_command(settings, *arguments)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


def told(settings: Settings, *arguments: str, code: int = 0) -> Any:
    return orjson.loads(run(settings, *arguments, "--json", code=code).splitlines()[-1])


async def codecs_of(settings: Settings, topic: TopicSpec) -> set[str]:
    """How the record batches of a topic are compressed, as the broker gives them out."""
    client = AIOKafkaClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.bootstrap()
    found: set[str] = set()
    try:
        await client.set_topics([topic.name])
        for partition in range(topic.partitions):
            offset = 0
            while True:
                place = [(topic.name, [(partition, offset, 1 << 20)])]
                node = client.cluster.leader_for_partition(TopicPartition(topic.name, partition))
                reply = await client.send(node, FetchRequest(200, 1, 1 << 20, 0, place))
                batches = bytes(reply.topics[0][1][0][-1] or b"")
                if len(batches) < 61:
                    break
                while len(batches) >= 61:
                    length = 12 + int.from_bytes(batches[8:12], "big")
                    base, delta = (
                        int.from_bytes(batches[a:b], "big") for a, b in ((0, 8), (23, 27))
                    )
                    found.add(NUMBERS[int.from_bytes(batches[21:23], "big") & 7])
                    offset = base + delta + 1
                    batches = batches[length:]
    finally:
        await client.close()
    return found


async def send_bad(settings: Settings, topic: str, codec: str | None) -> None:
    """A record that is no tick, and one that a replay can mend later: its price is text."""
    producer = AIOKafkaProducer(**client_settings(settings), compression_type=codec)
    await producer.start()
    try:
        for value in (b"not json " * 20, b'{"symbol":"A","price":"1","ts":1640995200000}'):
            await producer.send_and_wait(topic, value, key=b"A", partition=0)
    finally:
        await producer.stop()


def write_csv(path: Path, ticks: Sequence[Tick]) -> Path:
    path.write_text("time,price\n" + "".join(f"{tick.ts},{tick.price}\n" for tick in ticks))
    return path


async def until_retrained(worker: WorkerProcess, topics: Topics, cycles: int) -> None:
    """Wait until so many cycles have succeeded, and the topic says so: the log says it before."""

    def lacking(events: list[Any]) -> bool:
        return [event["state"] for event in events].count("succeeded") < cycles

    await read_while(worker, topics.retrain_events, lacking)


async def whole_way(settings: Settings, topics: Topics, folder: Path, *, trains: bool) -> None:
    """Ticks with each compression and with none go through a worker, its end, and every command."""
    ticks = list(walk(EACH * 5 + 40, symbol="A"))
    for at, codec in enumerate(("none", *CODECS)):
        part = write_csv(folder / f"{codec}.csv", ticks[at * EACH : (at + 1) * EACH])
        run(settings, "feed", str(part), "--symbol", "A", "--speed", "max", "--compression", codec)
        await send_bad(settings, topics.ticks.name, None if codec == "none" else codec)
    with WorkerProcess(settings, folder / "worker.log") as worker:
        await read_until(worker, topics.predictions, EACH * 5)
        if trains:
            await until_retrained(worker, topics, 1)
        worker.kill()
    rest = write_csv(folder / "rest.csv", ticks[EACH * 5 :])
    run(settings, "feed", str(rest), "--symbol", "A", "--speed", "max")
    with WorkerProcess(settings, folder / "worker.log") as worker:
        predictions = await read_until(worker, topics.predictions, len(ticks))
        assert "restored 1 symbols" in worker.text()
        if trains:  # else its own first cycle may be cut off by its end
            await until_retrained(worker, topics, 2)
        assert worker.terminate() == 0, worker.text()
    assert len({message["id"] for message in predictions}) == len(ticks)
    assert {len(message["members"]) for message in predictions[-20:]} == {4 if trains else 1}
    bars = [decode_bar(record.value or b"") for record in await read_all(settings, topics.bars)]
    assert len({bar.ts_open for bar in bars if bar.ticks}) == (len(ticks) - 1) // 4

    listed = told(settings, "dlq", "list")
    # The worker was killed, so a letter may be there twice.
    places = {(letter["reason"], letter["source"]["offset"]) for letter in listed["letters"]}
    assert Counter(reason for reason, _ in places) == {"not_json": 5, "wrong_type": 5}
    place = [str(listed["letters"][0][name]) for name in ("partition", "offset")]
    assert "not json" in run(settings, "dlq", "show", *place)
    told(settings, "dlq", "replay", "--dry-run")
    async with connected_producer(settings) as producer:
        await producer.send_and_wait(topics.drift.name, ALARM, partition=0)
    # It reads the scores, and the alarm that it finds is one of before.
    with WorkerProcess(settings, folder / "drift.log", command="drift") as process:
        await process.until("1 alarms are on")
        assert process.terminate() == 0, process.text()


async def test_every_compression_works_the_whole_way(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    await whole_way(settings, topics_on_broker, tmp_path, trains=True)
    initial = [item for item in told(settings, "history") if item["trigger"] == "initial"]
    assert [event["state"] for event in initial] == ["succeeded", "succeeded"]  # of each worker
    checks = told(settings, "verify", "--wait", "0.5", code=1)["checks"]
    assert {check["name"]: check["passed"] for check in checks} == {
        "initial training": True,
        "LSTM included": True,
        "in time": True,
        "every symbol": True,
        "all four models": True,
        "all partitions are read": False,  # the worker has ended
        "predictions keep coming": False,
    }
    assert await codecs_of(settings, topics_on_broker.ticks) == {"none", *CODECS}
    for topic in topics_on_broker.specs:
        if topic.role != "ticks":
            assert await codecs_of(settings, topic) == {COMPRESSION}


@pytest.mark.parametrize("turn", range(4))
async def test_every_topic_may_have_a_compression_of_its_own(
    settings_for: SettingsFor, broker: Broker, tmp_path: Path, topics_file: Path, turn: int
) -> None:
    if broker.name.startswith("embedded"):
        pytest.skip("the embedded broker keeps the producer's compression")
    content = yaml.safe_load(topics_file.read_text())
    wanted = {}
    for at, (name, topic) in enumerate(content["topics"].items()):
        wanted[name] = topic["configs"]["compression.type"] = CODECS[(at + turn) % 4]
    topics_file.write_text(yaml.safe_dump(content, sort_keys=False))
    settings = settings_for(bar_seconds=60)  # too few bars for a training, which takes long
    topics = load_topics(settings.topics_file)
    await apply_topics(topics, client_settings(settings))
    run(settings, "topics", "check")
    await whole_way(settings, topics, tmp_path, trains=False)
    publisher = Publisher(topics, client_settings(settings), idempotent=True)
    await publisher.start()
    await publisher.publish_event(EVENT)
    await publisher.publish_champion(CHAMPION)
    await publisher.stop()
    assert [item["cycle"] for item in told(settings, "history")] == [EVENT.cycle]
    checks = told(settings, "verify", "--wait", "0.5", code=1)["checks"]
    assert "all four models" in {check["name"] for check in checks}
    for topic in topics.specs:
        assert await codecs_of(settings, topic) == {wanted[topic.name]}


@pytest.mark.parametrize("codec", CODECS)
async def test_a_batch_of_many_records_is_read_back_as_it_was(
    settings_for: SettingsFor, topics_on_broker: Topics, codec: str
) -> None:
    client = client_settings(settings_for())
    values = [b"%d" % number * 500 for number in range(400)]
    producer = AIOKafkaProducer(**client, compression_type=codec, max_batch_size=1 << 20)
    await producer.start()
    try:
        batch = producer.create_batch()
        for value in values:
            assert batch.append(key=b"k", value=value, timestamp=None) is not None
        await (await producer.send_batch(batch, topics_on_broker.bars.name, partition=0))
    finally:
        await producer.stop()
    records = await read(client, topics_on_broker.bars.name, len(values))
    assert [record.value for record in records] == values
