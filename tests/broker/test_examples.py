"""The examples as anyone runs them: as programs of their own, on each broker."""

from __future__ import annotations

import asyncio
import importlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer

from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics, TopicSpec
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import decode_tick
from stream_app.settings import Settings
from tests.builders import settings as small_settings
from tests.conftest import SettingsFor
from tests.workers import DEADLINE_S, WorkerProcess, environment, read_all, read_on, read_until

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CONTRACT: dict[str, Any] = json.loads((ROOT / "docs/contracts/prediction.schema.json").read_text())[
    "examples"
][0]
SYMBOLS = [f"S{number}-USD" for number in range(40)]
PRODUCERS = ("producer_aiokafka", "producer_confluent")
CONSUMERS = ("consumer_newest", "consumer_act_once")
SQLITES_OWN_WAIT_S = 5.0  # what sqlite3.connect waits for a lock when it is told nothing


class Example:
    """An example as a process, in a folder of its own; its output goes to a file."""

    def __init__(self, settings: Settings, folder: Path, command: list[str]) -> None:
        self._settings = settings
        self._command = command
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._output = folder / "output"

    def __enter__(self) -> Self:
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *self._command],
                env=environment(self._settings),
                stdout=output,
                stderr=output,
                cwd=self._folder,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def lines(self, beginning: str) -> list[str]:
        """The lines so far, also of earlier runs, that begin so: without their beginning."""
        whole = self._output.read_text().splitlines()
        return [line.removeprefix(beginning) for line in whole if line.startswith(beginning)]

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not done():
                assert self.process.poll() is None, self._output.read_text()
                await asyncio.sleep(0.05)

    async def ended(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            while (code := self.process.poll()) is None:
                await asyncio.sleep(0.05)
        return code


def example(settings: Settings, folder: Path, name: str, *arguments: str) -> Example:
    return Example(settings, folder, [str(EXAMPLES / f"{name}.py"), *arguments])


def run(settings: Settings, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def rows(database: Path, query: str) -> list[Any]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database, timeout=60)) as db:
        try:
            return db.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []  # the file is there a moment before its tables


def prediction(partition: int, offset: int, price: float = 100.0) -> dict[str, Any]:
    """The contract's own example, of another tick."""
    source = {"topic": "market.ticks.v1", "partition": partition, "offset": offset}
    name = f"market.ticks.v1-{partition}-{offset}"
    return CONTRACT | {"id": name, "source": source, "prediction": price}


async def publish(settings: Settings, topic: TopicSpec, messages: Iterable[dict[str, Any]]) -> None:
    producer = AIOKafkaProducer(**client_settings(settings), acks="all")
    await producer.start()
    try:
        for message in messages:
            partition = message["source"]["partition"]
            await producer.send(topic.name, json.dumps(message).encode(), partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


def with_repeats(count: int, partitions: int = 4) -> list[dict[str, Any]]:
    """Each partition's predictions, and after every tenth the last five again, as after a kill.

    A repeat says another price, so that it can be told from the first.
    """
    made = []
    for partition in range(partitions):
        for offset in range(count):
            made.append(prediction(partition, offset))
            if offset % 10 == 9:
                made += [prediction(partition, o, 200.0 + o) for o in range(offset - 4, offset + 1)]
    return made


async def test_keys_land_where_aiokafka_puts_them_and_librdkafka_by_itself_does_not(
    settings_for: SettingsFor, topics_on_broker: Topics
) -> None:
    settings = settings_for()
    topic = topics_on_broker.ticks
    positions: dict[int, int] = {}
    landed = []
    for name in PRODUCERS:
        done = run(settings, name, "--topic", topic.name, "--rounds", "3", "--symbols", *SYMBOLS)
        said = f"120 ticks sent to {topic.name}, all acknowledged\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
        records = [record async for record in read_on(settings, topic, positions)]
        ticks = [decode_tick(r.value, r.key, r.timestamp, 5_000) for r in records]
        assert all(isinstance(tick, Tick) for tick in ticks)
        assert Counter(r.key for r in records) == {name.encode(): 3 for name in SYMBOLS}
        landed.append({record.key: record.partition for record in records})
    assert len(set(landed[0].values())) == topic.partitions
    assert landed[0] == landed[1]

    plain = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "log_level": 2})
    for symbol in SYMBOLS:
        plain.produce(topic.name, key=symbol, value=b"")
    assert plain.flush(60) == 0
    by_itself = {r.key: r.partition async for r in read_on(settings, topic, positions)}
    assert by_itself.keys() == landed[0].keys()
    elsewhere = [key for key in by_itself if by_itself[key] != landed[0][key]]
    assert len(elsewhere) > len(SYMBOLS) / 2


async def test_what_the_producers_send_is_answered_kept_and_acted_on(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60, min_training_bars=200)
    for name in PRODUCERS:
        assert run(settings, name, "--topic", topics_on_broker.ticks.name).returncode == 0
    topic = topics_on_broker.predictions
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await read_until(worker, topic, 800)
        assert worker.terminate() == 0, worker.text()
    sent = [json.loads(record.value or b"") for record in await read_all(settings, topic)]
    known = {message["id"]: message for message in sent}
    assert len(known) == 800
    with (
        example(settings, tmp_path, "consumer_newest", "--topic", topic.name) as keeper,
        example(settings, tmp_path / "act", "consumer_act_once", "--topic", topic.name) as actor,
    ):
        database = tmp_path / "predictions.db"
        await keeper.until(lambda: sum(map(int, counts(keeper))) >= len(sent))
        await actor.until(lambda: len(actor.lines("acted on ")) >= 800)
        keeper.process.send_signal(signal.SIGINT)
        actor.process.send_signal(signal.SIGINT)
        assert (await keeper.ended(), await actor.ended()) == (0, 0)
    kept = rows(database, "SELECT id, message, symbol, target_ts, prediction FROM predictions")
    assert {name: json.loads(message) for name, message, *_ in kept} == known
    assert all(
        row == [known[name][key] for key in ("symbol", "target_ts", "prediction")]
        for name, _, *row in kept
    )
    acted = [line.split()[0] for line in actor.lines("acted on ")]
    assert sorted(acted) == sorted(known)


def counts(keeper: Example) -> list[str]:
    """How many predictions each transaction held, as it says."""
    return [line.split()[0] for line in keeper.lines("") if line.endswith(" predictions kept")]


async def test_kills_lose_no_prediction_and_the_later_of_one_id_is_kept(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for()
    topic = topics_on_broker.predictions
    messages = with_repeats(500)
    database = tmp_path / "predictions.db"
    for part in range(4):
        await publish(settings, topic, messages[part::4])
        with example(settings, tmp_path, "consumer_newest", "--topic", topic.name) as keeper:
            before = len(counts(keeper))
            await keeper.until(lambda: len(counts(keeper)) > before)  # noqa: B023
    in_order = [json.loads(record.value or b"") for record in await read_all(settings, topic)]
    expected = {message["id"]: message["prediction"] for message in in_order}
    assert len(in_order) == len(messages) == 1.5 * len(expected)
    assert set(expected.values()) > {100.0, 205.0}
    with example(settings, tmp_path, "consumer_newest", "--topic", topic.name) as keeper:
        read = "SELECT sum(next_offset) FROM positions"
        await keeper.until(lambda: rows(database, read) == [(len(messages),)])
    assert dict(rows(database, "SELECT id, prediction FROM predictions")) == expected
    assert sum(map(int, counts(keeper))) <= len(messages), "what was kept is not read again"


async def test_what_does_not_fit_the_contract_is_passed_over_and_a_further_field_is_not(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for()
    topic = topics_on_broker.predictions
    fits, later = prediction(0, 0), prediction(0, 1) | {"brand_new": {"a": 1}}
    wrong = prediction(0, 2) | {"prediction": "dear"}
    missing = {name: value for name, value in prediction(0, 3).items() if name != "members"}
    await publish(settings, topic, [wrong, fits, missing, later])
    done = run(settings, "consumer_checked", "--topic", topic.name, "--count", "2")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [fits["id"], later["id"]]
    assert done.stderr.splitlines() == [
        f"{topic.name}-0-0: $.prediction: 'dear' is not of type 'number'",
        f"{topic.name}-0-2: $: 'members' is a required property",
    ]


@pytest.mark.parametrize("table", ["predictions", "positions"])
async def test_rows_and_offsets_are_written_together_or_not_at_all(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, table: str
) -> None:
    """With a database that refuses a write in the middle of the second transaction."""
    settings = settings_for()
    topic = topics_on_broker.predictions
    database = tmp_path / "predictions.db"
    query = "SELECT (SELECT count(*) FROM predictions), (SELECT sum(next_offset) FROM positions)"

    async def keep(first: int, count: int, *, refused: bool) -> None:
        numbers = range(first, first + count)
        await publish(settings, topic, [prediction(0, number) for number in numbers])
        with example(settings, tmp_path, "consumer_newest", "--topic", topic.name) as keeper:
            if refused:
                assert await keeper.ended() == 1
                assert keeper.lines("")[-1] == f"{topic.name} into predictions.db: disk is full"
            else:
                await keeper.until(lambda: rows(database, query) == [(first + count,) * 2])

    await keep(0, 50, refused=False)
    refusal = f"BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
    if table == "predictions":
        refusal = refusal.replace("BEGIN", "WHEN NEW.id LIKE '%-90' BEGIN")
    with closing(sqlite3.connect(database)) as db:
        db.execute(f"CREATE TRIGGER refuse {refusal}")
    await keep(50, 50, refused=True)
    kept, position = rows(database, query)[0]
    assert kept == position < 100
    with closing(sqlite3.connect(database)) as db:
        db.execute("DROP TRIGGER refuse")
    await keep(100, 50, refused=False)


@pytest.mark.parametrize("name", CONSUMERS)
async def test_a_database_that_is_locked_for_longer_than_sqlite_waits_is_waited_for(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, name: str
) -> None:
    settings = settings_for()
    topic = topics_on_broker.predictions
    await publish(settings, topic, [prediction(0, 0)])
    database = tmp_path / "kept.db"
    told = ("--topic", topic.name, "--database", str(database))
    with example(settings, tmp_path, name, *told) as consumer:
        with closing(sqlite3.connect(database, timeout=60)) as db:
            db.execute("BEGIN EXCLUSIVE")
            await asyncio.sleep(SQLITES_OWN_WAIT_S + 3)
            assert consumer.process.poll() is None, consumer.lines("")
            db.rollback()
        query = "SELECT prediction FROM predictions"
        if name == "consumer_act_once":
            query = "SELECT highest FROM acted"
        await consumer.until(lambda: len(rows(database, query)) == 1)


async def test_predictions_that_retention_removed_are_named(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    """Not removed in earnest: the database says that it was further behind than the topic is."""
    settings = settings_for()
    topic = topics_on_broker.predictions
    await publish(settings, topic, [prediction(0, number) for number in range(10)])
    with example(settings, tmp_path, "consumer_newest", "--topic", topic.name) as keeper:
        await keeper.until(lambda: counts(keeper) == ["10"])
    with closing(sqlite3.connect(tmp_path / "predictions.db")) as db, db:
        db.execute("UPDATE positions SET next_offset = -3")
    with example(settings, tmp_path, "consumer_newest", "--topic", topic.name) as keeper:
        await keeper.until(lambda: counts(keeper) == ["10", "10"])
        assert f"{topic.name}-0: retention has removed offsets -3 to -1" in keeper.lines("")


async def test_repeats_are_not_acted_on_also_after_kills_and_by_two_processes_at_once(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    """Each process reads everything, as if the other still had its partitions: it has a group
    of its own, and both have one database."""
    settings = settings_for()
    topic = topics_on_broker.predictions
    messages = with_repeats(100)
    names = sorted({message["id"] for message in messages})
    await publish(settings, topic, messages[: len(messages) // 2])

    def consumer(group: str) -> Example:
        told = ("--topic", topic.name, "--group", f"{settings.consumer_group}-{group}")
        return example(
            settings, tmp_path / group, "consumer_act_once", *told, "--database", "../acted.db"
        )

    with consumer("a") as one, consumer("b") as two:
        await one.until(lambda: bool(one.lines("acted on ") or two.lines("acted on ")))
    await publish(settings, topic, messages[len(messages) // 2 :])
    with consumer("c") as three, consumer("d") as four:
        four_of = "SELECT count(*) FROM acted WHERE highest = 99"
        await three.until(lambda: rows(tmp_path / "acted.db", four_of) == [(4,)])
        await three.until(lambda: len(rows(tmp_path / "acted.db", "SELECT * FROM begun")) <= 2)
    doubted = {line.split()[0] for line in three.lines("in doubt: ") + four.lines("in doubt: ")}
    begun = {name for (name,) in rows(tmp_path / "acted.db", "SELECT id FROM begun")}
    assert len(doubted | begun) <= 4
    acted = [
        line.split()[0] for each in (one, two, three, four) for line in each.lines("acted on ")
    ]
    assert [name for name, times in Counter(acted).items() if times > 1] == []
    assert set(acted) | doubted | begun == set(names)


def test_of_two_that_have_one_prediction_at_the_same_moment_one_acts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("consumer_act_once")
    acted: list[str] = []
    monkeypatch.setattr(example, "act", lambda prediction: acted.append(prediction["id"]))
    records = [
        SimpleNamespace(value=json.dumps(prediction(0, number)).encode()) for number in range(200)
    ]
    together = threading.Barrier(2, timeout=DEADLINE_S)

    def consume(_process: int) -> None:
        with closing(sqlite3.connect(tmp_path / "acted.db", timeout=DEADLINE_S)) as db:
            for record in records:
                together.wait()
                example.act_once(db, record)

    with closing(sqlite3.connect(tmp_path / "acted.db")) as db:
        db.executescript(example.TABLES)
    with ThreadPoolExecutor(2) as both:
        list(both.map(consume, range(2)))
    assert acted == [f"market.ticks.v1-0-{number}" for number in range(200)]


DIES_BEFORE_IT_ACTS = """
import asyncio, os, sqlite3, sys
sys.path.insert(0, sys.argv[1])
import consumer_act_once
consumer_act_once.act = lambda prediction: os._exit(9)
asyncio.run(consumer_act_once.main(sys.argv[2], sys.argv[3], sqlite3.connect("acted.db")))
"""


async def test_what_was_begun_at_a_crash_is_named_and_not_done_again(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for()
    topic = topics_on_broker.predictions
    await publish(settings, topic, [prediction(0, number) for number in range(20)])
    group = settings.consumer_group
    command = ["-c", DIES_BEFORE_IT_ACTS, str(EXAMPLES), topic.name, group]
    with Example(settings, tmp_path, command) as dying:
        assert await dying.ended() == 9

    told = ("--topic", topic.name, "--group", group)
    with closing(sqlite3.connect(tmp_path / "acted.db")) as db:
        db.execute(
            "CREATE TRIGGER refuse BEFORE DELETE ON begun WHEN OLD.id LIKE '%-7' "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    with example(settings, tmp_path, "consumer_act_once", *told) as actor:
        assert await actor.ended() == 1
        assert actor.lines("")[-1] == f"{topic.name} with acted.db: disk is full"
    assert rows(tmp_path / "acted.db", "SELECT id FROM begun ORDER BY id") == [
        ("market.ticks.v1-0-0",), ("market.ticks.v1-0-7",)
    ]  # fmt: skip
    with example(settings, tmp_path, "consumer_act_once", *told) as actor:
        await actor.until(lambda: len(actor.lines("acted on ")) == 19)
        doubted = [line.split()[0] for line in actor.lines("in doubt: ")]
    acted = [line.split()[0] for line in actor.lines("acted on ")]
    assert acted == [f"market.ticks.v1-0-{number}" for number in range(1, 20)]
    # At the second start one was in doubt, at the third both.
    assert doubted == [f"market.ticks.v1-0-{number}" for number in (0, 0, 7)]


@pytest.mark.parametrize("name", CONSUMERS)
async def test_what_is_no_prediction_is_named_and_passed_over(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, name: str
) -> None:
    settings = settings_for()
    topic = topics_on_broker.predictions
    producer = AIOKafkaProducer(**client_settings(settings), acks="all")
    await producer.start()
    try:
        for value in (None, b"not json", b"[]", b"{}", json.dumps(prediction(0, 4)).encode()):
            await producer.send_and_wait(topic.name, value, key=b"key", partition=0)
    finally:
        await producer.stop()
    with example(settings, tmp_path, name, "--topic", topic.name) as consumer:
        good = "acted on market.ticks.v1-0-4" if name == "consumer_act_once" else "5 predictions"
        await consumer.until(lambda: any(line.startswith(good) for line in consumer.lines("")))
    for offset in range(4):
        assert len(consumer.lines(f"{topic.name}-0-{offset}: not a prediction, skipped")) == 1


@pytest.mark.parametrize("name", [*PRODUCERS, *CONSUMERS, "consumer_checked"])
def test_a_topic_that_is_missing_is_one_line_with_the_remedy(
    settings_for: SettingsFor, tmp_path: Path, name: str
) -> None:
    more = ("--database", str(tmp_path / "some.db")) if name in CONSUMERS else ()
    done = run(settings_for(), name, "--topic", "not.there", *more)
    said = "not.there: no such topic; create it with `stream-app topics apply`\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize("name", [*PRODUCERS, *CONSUMERS, "consumer_checked"])
def test_a_broker_that_is_away_gives_no_traceback(tmp_path: Path, name: str) -> None:
    more = ("--database", str(tmp_path / "some.db")) if name in CONSUMERS else ()
    done = run(small_settings(kafka_bootstrap_servers="127.0.0.1:1"), name, *more)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("market.")
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_help_is_the_files_own_header(name: str) -> None:
    done = run(small_settings(), name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for heading in ("What it shows", "How to run it", "What to change"):
        assert f"\n{heading}\n" in done.stdout
