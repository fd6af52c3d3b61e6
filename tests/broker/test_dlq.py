"""`stream-app dlq` against letters that a worker has written, on each broker."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from stream_app.cli import main
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import Topics
from stream_app.messages.records import DeadLetter
from stream_app.messages.schemas import Rejection, Tick
from stream_app.messages.ticks import encode_tick
from stream_app.prediction.pipeline import Answer
from stream_app.settings import Settings
from stream_app.worker.publisher import Publisher
from tests.builders import START_MS, FakeRecord
from tests.conftest import SettingsFor
from tests.workers import read_all

CODE = "future_time"
GOOD = [
    encode_tick(Tick(symbol=symbol, price=1.5 + number, ts=START_MS + number))
    for number, symbol in enumerate("AABB")
]
NO_TEXT = b"\xff\x1b[2J\x00"


@pytest.fixture
def settings(settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch) -> Settings:
    made = settings_for()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", made.kafka_bootstrap_servers)
    monkeypatch.setenv("KAFKA_IDEMPOTENT_PRODUCER", str(made.kafka_idempotent_producer))
    monkeypatch.setenv("TOPICS_FILE", str(made.topics_file))
    return made


async def write(
    settings: Settings,
    topics: Topics,
    partition: int,
    letters: Sequence[tuple[bytes | None, bytes | None, str]],
) -> None:
    """Letters as a worker writes them, of ticks at the offsets from 100 on."""
    publisher = Publisher(
        topics, client_settings(settings), idempotent=settings.kafka_idempotent_producer
    )
    await publisher.start()
    try:
        refused = [
            DeadLetter(
                record=FakeRecord(
                    offset=100 + at,
                    key=key,
                    value=value,
                    topic=topics.ticks.name,
                    partition=partition,
                ),
                rejection=Rejection(reason=reason, detail=f"no good \x1b[2J[red]{at}"),
            )
            for at, (key, value, reason) in enumerate(letters)
        ]
        await publisher.publish(Answer(dead_letters=refused), partition)
    finally:
        await publisher.stop()


@pytest.fixture
async def letters(settings: Settings, topics_on_broker: Topics) -> Topics:
    """Of partition 1: two mended ones, one that stays bad, a cut one. Of partition 3: four more."""
    await write(
        settings,
        topics_on_broker,
        1,
        [
            (b"A", GOOD[0], CODE),
            (b"A", NO_TEXT, "not_json"),
            (b"A", GOOD[1], CODE),
            (b"A", b"x" * 900_000, "too_large"),
        ],
    )
    await write(
        settings,
        topics_on_broker,
        3,
        [
            (b"B", GOOD[2], CODE),
            (None, None, "not_json"),
            (b"C", GOOD[3], "key_mismatch"),
            (b"B", GOOD[3], "bad_time"),
        ],
    )
    return topics_on_broker


async def command(*arguments: str) -> None:
    """In a thread, for it runs an event loop of its own."""
    await asyncio.to_thread(main, ["dlq", *arguments])


async def fails(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        await command(*arguments)
    assert ended.value.code == 2


async def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    await command(*arguments, "--json")
    return orjson.loads(capsys.readouterr().out.splitlines()[-1])


async def test_list_counts_all_and_shows_the_last(
    letters: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = await told(capsys, "list")
    assert listed["total"] == 8
    assert listed["counts"] == {
        CODE: 3, "not_json": 2, "too_large": 1, "key_mismatch": 1, "bad_time": 1
    }  # fmt: skip
    places = {(item["partition"], item["offset"]) for item in listed["letters"]}
    assert places == {(partition, offset) for partition in (1, 3) for offset in range(4)}
    first = next(i for i in listed["letters"] if (i["partition"], i["offset"]) == (1, 0))
    assert first["reason"] == CODE
    assert first["source"] == {"topic": letters.ticks.name, "partition": 1, "offset": 100}
    assert first["key"] == "A"
    cut = next(i for i in listed["letters"] if (i["partition"], i["offset"]) == (1, 3))
    assert cut["cut"] == "900001 bytes of key and value"

    filtered = await told(capsys, "list", "--reason", CODE, "--last", "1")
    assert filtered["counts"] == {CODE: 3}
    assert [item["offset"] for item in filtered["letters"]] in ([0], [2])
    ranged = await told(capsys, "list", "--partition", "3", "--from", "1", "--to", "2")
    assert [item["reason"] for item in ranged["letters"]] == ["not_json", "key_mismatch"]
    assert ranged["total"] == 2
    assert (await told(capsys, "list", "--reason", "bad_symbol"))["letters"] == []


async def test_the_table_shows_no_control_characters_and_obeys_no_markup(
    letters: Topics, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    await command("list")
    shown = capsys.readouterr().out
    assert "8 of 8 dead letters: future_time 3, not_json 2" in shown
    assert "\x1b[2J" not in shown
    assert r"no good \x1b[2J[red]0" in shown
    await command("list", "--reason", "bad_symbol")
    assert capsys.readouterr().out == "No dead letter matches.\n"


async def test_show_gives_the_headers_and_the_original_bytes(
    letters: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    await command("show", "1", "0")
    shown = capsys.readouterr().out
    assert "\n  offset: 100\n" in shown
    assert f"\nvalue: {len(GOOD[0])} bytes\n  {GOOD[0].decode()}\n" in shown
    assert "key: 1 bytes\n  A\n" in shown
    assert "\x1b" not in shown
    await command("show", "1", "1")
    shown = capsys.readouterr().out
    assert "value: 6 bytes, not UTF-8\n  00000000  ff 1b 5b 32 4a 00" in shown
    assert "\x1b" not in shown
    await command("show", "3", "1")
    assert "key: none\n\nvalue: none\n" in capsys.readouterr().out
    found = await told(capsys, "show", "1", "1")
    assert base64.b64decode(found["value_base64"]) == NO_TEXT
    assert found["value"] is None
    assert found["headers"]["reason"] == "not_json"


async def test_what_is_not_there_is_said_with_where_the_letters_end(
    letters: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    await fails("show", "1", "4")
    assert "partition 1 offset 4; the partition ends at offset 3" in capsys.readouterr().err
    await fails("show", "0", "0")
    assert "partition 0 offset 0; the partition is empty" in capsys.readouterr().err
    await fails("show", "4", "0")
    assert "partitions 0 to 3" in capsys.readouterr().err
    await fails("list", "--partition", "7")
    assert "partitions 0 to 3" in capsys.readouterr().err


async def test_a_dry_run_and_an_unconfirmed_replay_send_nothing(
    letters: Topics,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await command("replay", "--dry-run")
    said = capsys.readouterr()
    assert said.out == "4 letters would be sent\n"
    assert "1 left out: cut when it was written" in said.err
    assert "3 left out: would be refused again" in said.err
    for answer in ("", "n\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        await fails("replay")
        said = capsys.readouterr()
        assert "Send 4 letters" in said.err
        assert "not confirmed, so nothing was sent; use --yes to confirm" in said.err
    assert await read_all(settings, letters.ticks) == []
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    await command("replay", "--partition", "1")
    assert capsys.readouterr().out.strip() == "2 letters sent and acknowledged"
    assert len(await read_all(settings, letters.ticks)) == 2


async def test_replay_sends_what_is_valid_now_with_its_bytes_and_where_it_is_from(
    letters: Topics, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await told(capsys, "replay", "--yes")) == {
        "dry_run": False, "sent": 4, "to_send": 4,
        "sendable": 4, "cut": 1, "foreign": 0, "refused_again": 3,
    }  # fmt: skip
    name = letters.dead_letters.name
    sent = [
        (record.partition, record.key, record.value, dict(record.headers))
        for record in await read_all(settings, letters.ticks)
    ]
    assert sent == [
        (1, b"A", GOOD[0], {"replayed_from": f"{name}-1-0".encode()}),
        (1, b"A", GOOD[1], {"replayed_from": f"{name}-1-2".encode()}),
        (3, b"B", GOOD[2], {"replayed_from": f"{name}-3-0".encode()}),
        (3, b"B", GOOD[3], {"replayed_from": f"{name}-3-3".encode()}),
    ]


async def test_replay_takes_filters_and_with_all_sends_what_would_be_refused_again(
    letters: Topics, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--partition", "3", "--from", "1", "--to", "2", "--all", "--yes")
    assert (await told(capsys, "replay", *arguments))["sent"] == 2
    sent = await read_all(settings, letters.ticks)
    assert [(record.key, record.value) for record in sent] == [(None, None), (b"C", GOOD[3])]
    assert (await told(capsys, "replay", "--reason", "bad_size", "--yes"))["sent"] == 0


async def test_replay_goes_over_many_letters_of_every_size_in_order(
    settings: Settings, topics_on_broker: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [
        encode_tick(Tick(symbol="A", price=1.0, ts=START_MS + number))[:-1]
        + b',"extra":"'
        + b"x" * (60_000 if number % 100 == 0 else number % 300)
        + b'"}'
        for number in range(1200)
    ]
    await write(settings, topics_on_broker, 0, [(b"A", value, CODE) for value in values])
    await write(settings, topics_on_broker, 0, [(b"A", b"x" * 700_000, "too_large")])
    assert (await told(capsys, "replay", "--yes", "--all"))["sent"] == 1201
    sent = [record.value for record in await read_all(settings, topics_on_broker.ticks)]
    assert sent == [*values, b"x" * 700_000]


async def test_a_record_that_is_no_letter_of_ours_is_listed_and_not_sent(
    settings: Settings, topics_on_broker: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = AIOKafkaProducer(**client_settings(settings))
    await producer.start()
    try:
        name = topics_on_broker.dead_letters.name
        await producer.send_and_wait(name, GOOD[0], key=b"A", partition=0)
    finally:
        await producer.stop()
    assert (await told(capsys, "list"))["counts"] == {"unknown": 1}
    assert (await told(capsys, "replay", "--yes"))["foreign"] == 1
    await command("show", "0", "0")
    assert await read_all(settings, topics_on_broker.ticks) == []


async def test_without_topics_the_line_says_how_to_make_them(
    settings: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    await fails("list")
    assert "stream-app topics apply" in capsys.readouterr().err
