"""Lets the consumer group answer a topic again from its beginning, for an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata
from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception_type,
    stop_after_delay,
    wait_fixed,
)

from stream_app.errors import TopicError
from stream_app.kafka.group import open_group
from stream_app.kafka.reader import open_reader

_RETRY_S: Final = 1.0


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
