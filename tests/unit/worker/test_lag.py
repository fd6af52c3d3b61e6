"""The look at the lag: partitions that fall behind, that nobody reads, that are others now."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    UnknownTopicOrPartitionError,
)

from stream_app.errors import TopicError
from stream_app.kafka.place import Place
from stream_app.kafka.topic_ids import KnownTopic
from stream_app.worker import lag
from stream_app.worker.lag import LagWatch


async def ignore(_count: int) -> None:
    """Nobody asks how many partitions there are."""


@dataclass
class Broker:
    """What a broker would say."""

    topic_id: str = "ONE"
    ends: dict[int, int] = field(default_factory=lambda: {0: 100, 1: 100, 2: 100})
    commits: dict[int, int] = field(default_factory=dict)
    owned_by_group: frozenset[int] | None = frozenset({0, 1, 2})

    async def known_topic(self) -> KnownTopic:
        return KnownTopic(topic_id=self.topic_id, partitions=len(self.ends))

    async def owned(self) -> frozenset[int] | None:
        return self.owned_by_group

    async def end(self, partition: int) -> int:
        return self.ends[partition]

    async def without_markers(self, places: dict[int, Place]) -> dict[int, Place]:
        return places

    async def places(self, topic: KnownTopic, partitions: Any) -> dict[int, Place]:
        return {
            number: Place(
                topic="ticks",
                group="g",
                partition=number,
                topic_id=topic.topic_id,
                first=0,
                end=self.ends[number],
                committed=self.commits.get(number),
                committed_topic_id="",
            )
            for number in partitions
        }


@dataclass
class Look:
    broker: Any
    positions: dict[int, int | None]
    watch: LagWatch

    async def __call__(self) -> LagWatch:
        await self.watch.look(self.broker)
        return self.watch


def look(positions: dict[int, int | None], **broker: Any) -> Look:
    watch = LagWatch(
        {}, group="g", topic="ticks", positions=lambda: positions, note_partitions=ignore
    )
    return Look(Broker(**broker), positions, watch)


async def test_the_lag_is_what_lies_behind_the_positions() -> None:
    watch = await look({0: 90, 1: 100})()
    assert (watch.own, watch.unread, watch.lag) == (10, 0, 10)


async def test_a_partition_that_is_being_restored_counts_from_its_commit() -> None:
    watch = await look({0: 100, 1: None}, commits={1: 30})()
    assert watch.own == 70


async def test_what_nobody_reads_counts_in_the_lag_but_is_not_this_workers_to_do() -> None:
    watch = await look({0: 100}, owned_by_group=frozenset({0, 1}), commits={2: 40})()
    assert (watch.own, watch.unread, watch.lag) == (0, 60, 60)
    assert watch.unread_partitions == [2]


async def test_while_the_group_changes_nothing_counts_as_unread() -> None:
    watch = await look({0: 100}, owned_by_group=None)()
    assert (watch.lag, watch.unread_partitions) == (0, [])


async def test_unread_partitions_are_said_once_after_a_while_and_when_they_are_read_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lag, "UNREAD_SAID_AFTER_S", 0.0)
    looking = look({0: 100}, owned_by_group=frozenset({0, 1}))
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            await looking()
        looking.broker.owned_by_group = frozenset({0, 1, 2})
        await looking()
        await looking()
    assert [record.getMessage() for record in caplog.records] == [
        "no worker of the group g reads ticks partition 2: 100 ticks wait; see docs/accidents.md",
        "all partitions of ticks are read again",
    ]


async def test_a_look_while_the_group_changes_says_nothing_of_unread_partitions(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lag, "UNREAD_SAID_AFTER_S", 0.0)
    unread = frozenset({0, 1})
    looking = look({0: 100})
    with caplog.at_level(logging.INFO):
        for looking.broker.owned_by_group in (unread, unread, None, unread, unread):
            watch = await looking()
            assert watch.unread_partitions == [2]
    assert len(caplog.records) == 1


async def test_to_learn_of_new_partitions_may_take_longer_than_a_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The newest bar of each is read: cut off each time, that would never end."""
    monkeypatch.setattr(lag, "ANSWER_TIMEOUT_S", 0.01)
    learned: list[int] = []

    async def learn(count: int) -> None:
        await asyncio.sleep(0.05)
        learned.append(count)

    watch = LagWatch({}, group="g", topic="ticks", positions=dict, note_partitions=learn)
    broker: Any = Broker()
    await watch._look_in_time(broker)
    assert learned == [3]


async def test_a_topic_with_another_id_ends_the_worker() -> None:
    looking = look({0: 100})
    await looking()
    looking.broker.topic_id = "TWO"
    with pytest.raises(TopicError, match=r"it was recreated \(its id was ONE and is TWO\)"):
        await looking()


async def test_a_position_beyond_the_end_ends_the_worker_at_the_second_look() -> None:
    looking = look({0: 100, 1: 100})
    looking.broker.ends[1] = 40
    await looking()
    with pytest.raises(TopicError, match=r"partition 1: .* up to offset 100, .* ends at 40"):
        await looking()


async def test_an_end_that_was_told_too_early_once_is_no_accident() -> None:
    looking = look({0: 100})
    looking.broker.ends[0] = 40
    await looking()
    looking.broker.ends[0] = 100
    await looking()
    looking.broker.ends[0] = 40
    await looking()


def test_a_broker_that_answers_with_an_error_is_not_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = LagWatch({}, group="g", topic="ticks", positions=dict, note_partitions=ignore)
    with caplog.at_level(logging.WARNING):
        away = []
        for error in [*[UnknownTopicOrPartitionError("ticks")] * 3, KafkaConnectionError("no")]:
            watch._note_error(error)
            away.append(watch.is_broker_away)
    assert away == [False, False, False, True]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("cannot look at the lag of ticks (UnknownTopicOrPartitionError")
    assert said[1].startswith("the broker does not answer")


async def test_what_waited_before_a_broker_refused_to_say_is_no_work_in_hand() -> None:
    looking = look({0: 90, 1: 100})
    watch = await looking()
    assert watch.own == 10
    watch._note_error(GroupAuthorizationFailedError("g"))
    assert not watch.is_broker_away
    assert watch.own == 0
