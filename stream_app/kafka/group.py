"""Where the consumer group stands in the ticks topic, and what is wrong with that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import CommitFailedError, for_code
from aiokafka.structs import OffsetAndMetadata
from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception_type,
    stop_after_delay,
    wait_fixed,
)

from stream_app.errors import TopicError
from stream_app.kafka.connection import end_offset
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_ids import KnownTopic, known_topic

_RETRY_S: Final = 1.0
RESET: Final = "stop all workers of the group and run `stream-app group reset` (docs/accidents.md)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a group stands in one partition of a topic, as the broker says."""

    topic: str
    group: str
    partition: int
    topic_id: str
    """Of the topic that has the name now; empty where the broker does not tell."""
    first: int
    """The log begins at this offset."""
    end: int
    """The offset after the last record."""
    committed: int | None
    committed_topic_id: str
    """Of the topic that the commit was made in; empty where nobody noted it."""

    @property
    def start(self) -> int:
        """The offset of the first record that the group has not answered."""
        return max(self.first, self.committed or 0)

    @property
    def waiting(self) -> int:
        """Records that the group has not answered."""
        return max(0, self.end - self.start)

    @property
    def problem(self) -> str | None:
        """Why the commit cannot be believed, in one line; None where it can."""
        if self.committed is None:
            return None
        if self.topic_id and self.committed_topic_id not in ("", self.topic_id):
            return made_anew(self.topic, self.committed_topic_id, self.topic_id)
        if self.committed > self.end:
            return (
                f"{self.topic} partition {self.partition}: the group {self.group} has committed "
                f"offset {self.committed}, but the log ends at {self.end}: the topic was "
                f"recreated, or the broker has lost records; {RESET}"
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """A worker, as the broker of its group knows it."""

    name: str
    """The id that the broker gave it."""
    host: str
    """Where it connects from; empty where the broker does not tell."""
    partitions: tuple[int, ...] | None
    """Of the ticks topic; None where the broker does not tell."""


def made_anew(topic: str, was: str, now: str) -> str:
    """The line for a topic that was deleted and created again."""
    return (
        f"{topic}: it was recreated (its id was {was} and is {now}), so what was answered belongs "
        f"to another topic; {RESET}"
    )


class GroupView:
    """A broker's data on one group and one topic. Every method waits on the broker.

    Every method raises a KafkaError where the broker does not answer, and
    UnknownTopicOrPartitionError where the topic is gone.
    """

    def __init__(
        self, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer, *, group: str, topic: str
    ) -> None:
        self.admin = admin
        """For other questions to the same broker."""
        self._reader = reader
        self._group = group
        self._topic = topic

    async def known_topic(self, other: str | None = None) -> KnownTopic:
        """The id of the topic, or of another one, and how many partitions it has."""
        return await known_topic(self.admin, other or self._topic)

    async def members(self) -> tuple[GroupMember, ...] | None:
        """The workers of the group; None while the group is changing.

        Their partitions are None where the broker does not tell, as the embedded one.
        """
        (response,) = await self.admin.describe_consumer_groups([self._group])
        (described,) = response.to_object()["groups"]
        if described["error_code"]:
            raise for_code(described["error_code"])(self._group)
        if described["state"] not in ("Stable", "Empty", "Dead"):
            return None
        return tuple(
            GroupMember(
                name=member["member_id"],
                host=member["client_host"],
                partitions=self._assigned(member["member_assignment"]),
            )
            for member in described["members"]
        )

    def _assigned(self, encoded: bytes) -> tuple[int, ...] | None:
        if not encoded:
            return None
        assigned = ConsumerProtocolMemberAssignment.decode(encoded)
        return tuple(
            sorted(tp.partition for tp in assigned.partitions() if tp.topic == self._topic)
        )

    async def owned(self) -> frozenset[int] | None:
        """The partitions that some worker of the group has.

        None while the group is changing, and where the broker does not tell, as the embedded one.
        """
        members = await self.members()
        if members is None or any(item.partitions is None for item in members):
            return None
        return frozenset(number for item in members for number in item.partitions or ())

    async def places(self, topic: KnownTopic, partitions: Iterable[int]) -> dict[int, Place]:
        """Where the group stands in each of the partitions."""
        tps = {number: TopicPartition(self._topic, number) for number in partitions}
        if not tps:
            return {}
        wanted = list(tps.values())
        # At once: ticks of a partition that is taken over wait for each answer.
        commits, firsts, ends = await asyncio.gather(
            self.admin.list_consumer_group_offsets(self._group, partitions=wanted),
            self._reader.beginning_offsets(wanted),
            self._reader.end_offsets(wanted),
        )
        places = {}
        for number, tp in tps.items():
            commit = commits.get(tp, OffsetAndMetadata(-1, ""))
            end = ends[tp]
            if not 0 <= commit.offset <= end:
                end = await self.end(number)
            places[number] = Place(
                topic=self._topic,
                group=self._group,
                partition=number,
                topic_id=topic.topic_id,
                first=firsts[tp],
                end=end,
                committed=commit.offset if commit.offset >= 0 else None,
                committed_topic_id=commit.metadata,
            )
        return places

    async def end(self, partition: int) -> int:
        """The offset after the last record of a partition, also on the embedded broker."""
        tp = TopicPartition(self._topic, partition)
        self._reader.assign([tp])
        return await end_offset(self._reader, tp)


@asynccontextmanager
async def open_group(
    client_settings: Mapping[str, Any], *, group: str, topic: str
) -> AsyncIterator[GroupView]:
    """Inspect a group without joining it.

    Args:
        client_settings: from `connection.client_settings`.
        group: its name.
        topic: the one that it reads.

    Raises:
        KafkaError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**client_settings)
    try:
        await admin.start()
        async with open_reader(dict(client_settings)) as reader:
            yield GroupView(admin, reader, group=group, topic=topic)
    finally:
        await admin.close()


async def reading_problems(
    client_settings: Mapping[str, Any], *, group: str, topic: str
) -> tuple[str, ...]:
    """What keeps ticks from being answered, a line each; empty where all are being read.

    Waits on the broker. Called by `stream-app verify`.

    Raises:
        KafkaError: the broker does not answer.
    """
    async with open_group(client_settings, group=group, topic=topic) as view:
        known = await view.known_topic()
        places = await view.places(known, range(known.partitions))
        owned = await view.owned()
    lines = [place.problem for place in places.values() if place.problem is not None]
    if owned is not None and (unread := sorted(places.keys() - owned)):
        waiting = sum(places[number].waiting for number in unread)
        lines.append(
            f"no worker of the group {group} reads {topic} partition "
            f"{', '.join(map(str, unread))}: {waiting:,} ticks wait"
        )
    return tuple(dict.fromkeys(lines))


async def reset_group(
    client_settings: Mapping[str, Any], *, group: str, topic: str, forgotten_within_s: float
) -> int:
    """Let the group read a topic from the beginning, whatever it has committed.

    Waits on the broker. Called by `stream-app group reset`.

    Args:
        client_settings: from `connection.client_settings`.
        group: its name.
        topic: the one that it reads.
        forgotten_within_s: how long to wait until the group has forgotten workers that have
            ended: its session timeout, and a little more.

    Returns:
        How many records are there to be answered.

    Raises:
        TopicError: a worker of the group still runs.
        KafkaError: the broker does not answer.
    """
    async with open_group(client_settings, group=group, topic=topic) as view:
        known = await view.known_topic()
        places = await view.places(known, range(known.partitions))
        commits = {
            TopicPartition(topic, item.partition): OffsetAndMetadata(item.first, known.topic_id)
            for item in places.values()
        }
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(CommitFailedError),
            wait=wait_fixed(_RETRY_S),
            stop=stop_after_delay(forgotten_within_s),
        )
        try:
            await retrying(_commit, {**client_settings, "group_id": group}, commits)
        except RetryError:
            raise TopicError(
                f"group {group}: a worker of it still runs; stop all of them and try again"
            ) from None
        return sum([await view.end(item.partition) - item.first for item in places.values()])


async def _commit(
    in_group: dict[str, Any], commits: Mapping[TopicPartition, OffsetAndMetadata]
) -> None:
    """Commit for a group without joining it. Kafka allows it where the group has no member."""
    async with open_reader(in_group) as consumer:
        consumer.assign(list(commits))
        await consumer.commit(commits)
