"""The consumer group of the workers as its broker describes it: members, commits and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code
from aiokafka.structs import OffsetAndMetadata

from stream_app.kafka.connection import end_offset
from stream_app.kafka.place import Place
from stream_app.kafka.reader import open_reader
from stream_app.kafka.tails import Tails
from stream_app.kafka.topic_ids import KnownTopic, known_topic


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """A worker, as the broker of its group knows it."""

    name: str
    """The id that the broker gave it."""
    host: str
    """Where it connects from; empty where the broker does not tell."""
    partitions: tuple[int, ...] | None
    """Of the ticks topic; None where the broker does not tell."""


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
        self._tails = Tails(reader)
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

    async def without_markers(
        self, places: Mapping[int, Place], *, at_once: bool = False
    ) -> dict[int, Place]:
        """The same, but an end of the log that holds no record does not count.

        Args:
            places: as `places` gave them.
            at_once: look at each such end; otherwise at those that were there at the last call.
        """
        waiting = {number: (at.start, at.end) for number, at in places.items() if at.waiting}
        empty = await self._tails.empty(self._topic, waiting, at_once=at_once)
        return {
            number: replace(at, end=at.start) if number in empty else at
            for number, at in places.items()
        }

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
        places = await view.without_markers(places, at_once=True)
        owned = await view.owned()
    lines = [place.problem for place in places.values() if place.problem is not None]
    if owned is not None and (unread := sorted(places.keys() - owned)):
        waiting = sum(places[number].waiting for number in unread)
        lines.append(
            f"no worker of the group {group} reads {topic} partition "
            f"{', '.join(map(str, unread))}: {waiting:,} ticks wait"
        )
    return tuple(dict.fromkeys(lines))
