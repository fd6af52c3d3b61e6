"""Ends of logs without a record: found without reading any part of a log twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.kafka import tails
from stream_app.kafka.tails import Tails

TOPIC = "t"


@dataclass
class Log:
    """A reader of one partition, of which some offsets hold records and the others markers."""

    end: int
    records: set[int] = field(default_factory=set)
    at: int = 0
    is_silent: bool = False
    """Whether the broker does not answer."""
    read: list[int] = field(default_factory=list)
    """Every offset that was read, in order."""

    def assign(self, _: list[TopicPartition]) -> None:
        pass

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC, 0)}

    def pause(self, *_: TopicPartition) -> None:
        pass

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.at = offset

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def getmany(self, tp: TopicPartition, **_: Any) -> dict[TopicPartition, list[int]]:
        if self.is_silent:
            return {}
        offsets = range(self.at, self.end)
        self.read.extend(offsets)
        self.at = self.end
        found = [offset for offset in offsets if offset in self.records]
        return {tp: found} if found else {}


def made(log: Log) -> Tails:
    return Tails(cast(AIOKafkaConsumer, log))


async def is_empty(of: Tails, start: int, end: int, **how: bool) -> bool:
    return await of.empty(TOPIC, {0: (start, end)}, **how) == {0}


async def test_markers_alone_are_found_at_the_second_look_and_read_once() -> None:
    log = Log(end=7)
    of = made(log)
    assert not await is_empty(of, 5, 7)
    for _ in range(3):
        assert await is_empty(of, 5, 7)
    assert log.read == [5, 6]


async def test_a_look_at_once_waits_for_no_second_one() -> None:
    assert await is_empty(made(Log(end=7)), 5, 7, at_once=True)
    assert not await is_empty(made(Log(end=7, records={5})), 5, 7, at_once=True)


async def test_a_feed_that_goes_on_aborting_is_read_on_from_where_it_was() -> None:
    """The end is another one at each look; the worker was ended as stuck."""
    log = Log(end=7)
    of = made(log)
    await is_empty(of, 5, 7)
    for end in range(8, 12):
        log.end = end
        assert await is_empty(of, 5, end)
    assert log.read == list(range(5, 11))


async def test_a_record_counts_for_as_long_as_nothing_is_committed() -> None:
    log = Log(end=7, records={6})
    of = made(log)
    for end in (7, 7, 8, 9):
        log.end = end
        assert not await is_empty(of, 5, end)
    assert log.read == [5, 6]
    assert not await is_empty(of, 7, 9)  # committed: nothing is known of what follows
    assert await is_empty(of, 7, 9)


async def test_while_ticks_flow_nothing_is_read() -> None:
    log = Log(end=7, records={5, 6, 7, 8})
    of = made(log)
    for start in (5, 6, 7):
        assert not await is_empty(of, start, start + 2)
    assert not log.read


async def test_a_broker_that_does_not_answer_leaves_it_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tails, "_LOOK_S", 0.01)
    log = Log(end=7, is_silent=True)
    of = made(log)
    assert not await is_empty(of, 5, 7, at_once=True)
    log.is_silent = False
    assert await is_empty(of, 5, 7)
