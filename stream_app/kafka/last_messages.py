"""The last messages of a topic, for a command that shows them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.kafka.reader import open_reader, read_last
from stream_app.kafka.topic_check import Topics, load_topics, require_topics
from stream_app.kafka.topics import TopicSpec
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_REACH_TIMEOUT_S: Final = 10.0


async def read_last_messages(
    settings: Settings,
    topic_of: Callable[[Topics], TopicSpec],
    count: int,
    decode: Callable[[bytes], _T],
) -> list[_T]:
    """The last `count` messages of each partition, oldest first. Waits for the broker.

    One that cannot be decoded is left out, with a warning in the log.

    Args:
        settings: how to connect, and where topics.yaml is.
        topic_of: which topic.
        count: of each partition.
        decode: raises a ValueError for what is no such message.

    Raises:
        BrokerError: no broker answers.
        TopicError: the topics are missing or differ from topics.yaml.
    """
    topics = load_topics(settings.topics_file)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    await require_topics(topics, client_settings(settings))
    async with open_reader(client_settings(settings)) as consumer:
        records = await read_last(consumer, topic_of(topics), count)
    messages = []
    for record in records:
        try:
            messages.append(decode(record.value or b""))
        except ValueError as error:
            place = f"{record.topic} partition {record.partition} offset {record.offset}"
            logger.warning("%s: %s; left out", place, error)
    return messages
