from __future__ import annotations

from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer

from stream_app.dead_letters.letter import Filter, Letter
from stream_app.dead_letters.replay import DeadLetters
from stream_app.kafka.topic_check import load_topics
from stream_app.messages.schemas import Source, Tick
from stream_app.messages.ticks import encode_tick
from stream_app.settings import load_settings
from stream_app.terminal.letters import hex_dump, printable
from tests.conftest import TOPICS_YAML

NOW = 1_650_000_000_000
TOPICS = load_topics(TOPICS_YAML)
GOOD = Tick(symbol="A", price=1.5, ts=NOW)


def letter(*, value: bytes | None = None, **headers: str | None) -> Letter:
    told = {
        "reason": "future_time",
        "detail": "301 s after the record's time",
        "topic": TOPICS.ticks.name,
        "partition": "2",
        "offset": "17",
    }
    named = {name: text for name, text in (told | headers).items() if text is not None}
    return Letter(
        partition=2,
        offset=5,
        written_ms=NOW,
        key=b"A",
        value=encode_tick(GOOD) if value is None else value,
        headers=tuple((name, text.encode()) for name, text in named.items()),
    )


def judged(item: Letter, now_ms: int = NOW, **overrides: Any) -> str:
    settings = load_settings(**overrides)
    unused = cast(AIOKafkaConsumer, None)
    return DeadLetters(unused, settings, TOPICS).judge(item, now_ms)


def test_a_letter_says_what_was_refused_and_why() -> None:
    found = letter(timestamp="123")
    assert found.reason == "future_time"
    assert found.detail == "301 s after the record's time"
    assert found.source == Source(topic=TOPICS.ticks.name, partition=2, offset=17)
    assert found.timestamp_ms == 123
    assert found.header("replayed_from") is None


def test_a_valid_tick_is_sendable() -> None:
    assert judged(letter()) == "sendable"


def test_a_tick_of_the_future_is_sendable_once_the_setting_or_the_time_allows_it() -> None:
    early = NOW - 301_000
    assert judged(letter(), early) == "refused_again"
    assert judged(letter(), early, max_future_seconds=302) == "sendable"
    assert judged(letter(), early + 1000) == "sendable"


def test_what_is_still_wrong_would_be_refused_again() -> None:
    assert judged(letter(value=b"not json")) == "refused_again"


def test_what_was_cut_cannot_be_sent() -> None:
    assert judged(letter(cut="900000 bytes of key and value")) == "cut"


@pytest.mark.parametrize(
    "headers",
    [
        {"topic": None},
        {"topic": "another.topic"},
        {"partition": None},
        {"partition": str(TOPICS.ticks.partitions)},
        {"partition": "-1"},
        {"partition": "²"},
        {"offset": None},
        {"offset": "9" * 30},
    ],
    ids=str,
)
def test_without_the_headers_of_a_tick_it_is_foreign(headers: dict[str, Any]) -> None:
    assert judged(letter(**headers)) == "foreign"


def test_a_record_without_any_headers_is_a_letter_of_unknown_reason() -> None:
    bare = Letter(partition=0, offset=0, written_ms=NOW, key=None, value=None, headers=())
    assert bare.reason == "unknown"
    assert bare.detail == ""
    assert bare.timestamp_ms is None
    assert judged(bare) == "foreign"


def test_a_filter_takes_its_reasons_and_without_any_all() -> None:
    assert Filter().takes(letter())
    assert Filter(reasons={"future_time"}).takes(letter())
    assert not Filter(reasons={"bad_price"}).takes(letter())


def test_nothing_that_moves_a_cursor_or_turns_text_around_reaches_the_terminal() -> None:
    hostile = "a\x1b[2J\x00\x7f\x9b31m\r\n\t\u202e\u2028b ü"
    assert printable(hostile) == r"a\x1b[2J\x00\x7f\x9b31m\r\n\t\u202e\u2028b ü"


def test_a_hex_dump_has_offsets_bytes_and_ascii() -> None:
    assert list(hex_dump(b"\x1b[2J abcdefghijk\xff\x00")) == [
        "  00000000  1b 5b 32 4a 20 61 62 63 64 65 66 67 68 69 6a 6b  .[2J abcdefghijk",
        "  00000010  ff 00                                            ..",
    ]
