"""Kafka records as the rest of the program sees them: what comes in, and what is to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from stream_app.messages.schemas import Rejection


class Record(Protocol):
    """What is needed of a Kafka record; aiokafka's ConsumerRecord fits."""

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
        """The broker's time of appending, epoch ms."""

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
    """A record that is no valid tick, and why."""

    record: Record
    rejection: Rejection


class Message(NamedTuple):
    """One record to send."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
