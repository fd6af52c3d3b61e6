"""A dead letter: the refused record byte for byte, and in its headers what was wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from stream_app.messages.records import DeadLetter, Message
from stream_app.messages.schemas import Source
from stream_app.messages.trace import trace_headers

KEPT_BYTES: Final = 800_000
"""A dead letter with a longer key and value is cut to its first 64 KiB and says so: it would fit no
batch, and would end the worker again after every restart."""
CUT_BYTES: Final = 64 * 1024
CUT_KEY_BYTES: Final = 1024
CUT_HEADER_BYTES: Final = 200
REPLAYED_FROM: Final = "replayed_from"
"""Header of a record that was sent again: `topic-partition-offset` of its letter."""
CUT: Final = "cut"
"""Header of a letter that does not hold all of its record's bytes."""
UNKNOWN_REASON: Final = "unknown"
"""Stands for the reason of a record that has no such header: not a letter of this system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A record of the dead-letter topic."""

    partition: int
    offset: int
    written_ms: int
    """When the letter was written, epoch milliseconds."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str | None:
        """A header as text; None when it is absent."""
        for known, value in self.headers:
            if known == name:
                return value.decode(errors="replace")
        return None

    @property
    def reason(self) -> str:
        """The code from `ticks.REASONS`."""
        return self.header("reason") or UNKNOWN_REASON

    @property
    def detail(self) -> str:
        """Which field, which value."""
        return self.header("detail") or ""

    @property
    def timestamp_ms(self) -> int | None:
        """The refused record's Kafka timestamp, epoch milliseconds."""
        return _number(self.header("timestamp"))

    @property
    def source(self) -> Source | None:
        """The refused record; None when the headers do not say."""
        topic = self.header("topic")
        partition, offset = _number(self.header("partition")), _number(self.header("offset"))
        if topic is None or partition is None or offset is None:
            return None
        return Source(topic=topic, partition=partition, offset=offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which letters are meant."""

    reasons: Collection[str] = ()
    """Empty for every reason."""
    partition: int | None = None
    first: int = 0
    """The first offset among the dead letters, of each partition."""
    last: int | None = None
    """The last offset, itself included; None for the end."""

    def takes(self, letter: Letter) -> bool:
        """Whether the letter's reason is meant; the rest is a matter of where to read."""
        return not self.reasons or letter.reason in self.reasons


def letter_of(item: DeadLetter) -> Message:
    """The record to write to the dead-letter topic; `read_letter` reads it back."""
    record, rejection = item.record, item.rejection
    key, value = record.key, record.value
    headers = [
        ("reason", rejection.reason.encode()),
        ("detail", rejection.detail.encode(errors="replace")),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("timestamp", str(record.timestamp).encode()),
    ]
    again = dict(record.headers).get(REPLAYED_FROM)
    if again:
        headers.append((REPLAYED_FROM, again[:CUT_HEADER_BYTES]))
    if record.headers:
        headers += trace_headers(record.headers)
    size = len(key or b"") + len(value or b"")
    if size > KEPT_BYTES:
        headers.append((CUT, f"{size} bytes of key and value".encode()))
        key = key[:CUT_KEY_BYTES] if key is not None else None
        value = value[:CUT_BYTES] if value is not None else None
    return Message(key, value, headers)


def read_letter(record: Any) -> Letter:
    """A record of the dead-letter topic, as aiokafka gives it."""
    return Letter(
        partition=record.partition,
        offset=record.offset,
        written_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple((name, value or b"") for name, value in record.headers),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text) else None
