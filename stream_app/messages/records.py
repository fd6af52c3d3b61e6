"""Kafka records as the rest of the program sees them: received, and to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stream_app.messages.schemas import Rejection


class Record(Protocol):
    """The part of a Kafka record that the program uses; aiokafka's ConsumerRecord has it."""

    @property
    def topic(self) -> str:
        """The topic's name."""

    @property
    def partition(self) -> int:
        """The partition's number."""

    @property
    def offset(self) -> int:
        """The offset in the partition."""

    @property
    def timestamp(self) -> int:
        """When the broker appended it, epoch ms."""

    @property
    def key(self) -> bytes | None:
        """The symbol, in UTF-8."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The record's headers."""

    @property
    def value(self) -> bytes | None:
        """The tick, in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record that is not a valid tick, and why."""

    record: Record
    rejection: Rejection


Headers = list[tuple[str, bytes]]


class Message(NamedTuple):
    """A record to send."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    """Not to be changed: records of a topic may share the list."""
