"""The champions topic, which says which version serves each symbol: read and written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import load_topics, require_topics
from stream_app.messages.codec import decode_champion, encode_champion
from stream_app.messages.records import Headers
from stream_app.messages.schemas import Champion
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

_REACH_TIMEOUT_S: Final = 10.0


def champion_of(record: ConsumerRecord) -> Champion | None:
    """What a record says; None, with a warning in the log, where it is no champion."""
    try:
        return decode_champion(record.value or b"")
    except ValueError as error:
        logger.warning("%s offset %d: %s; left out", record.topic, record.offset, error)
        return None


async def told_champions(settings: Settings) -> list[Champion]:
    """All that the topic holds, in its order. Waits for the broker.

    Raises:
        BrokerError: no broker answers.
        TopicError: the topics are missing or differ from topics.yaml.
    """
    topics, client = load_topics(settings.topics_file), client_settings(settings)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    await require_topics(topics, client)
    async with open_reader(client) as consumer:
        records = read_range(consumer, TopicPartition(topics.champions.name, 0), 0, None)
        told = [champion_of(record) async for record in records]
    return [champion for champion in told if champion is not None]


async def say_champion(
    settings: Settings, champion: Champion, headers: Mapping[str, Headers]
) -> None:
    """Name a champion; returns once the broker has acknowledged it.

    Args:
        settings: how to connect, and where topics.yaml is.
        champion: what to say.
        headers: what each record of a topic has, by the topic's name.

    Raises:
        BrokerError: no broker answers, or the broker refuses the producer.
    """
    topic = load_topics(settings.topics_file).champions
    async with connected_producer(settings) as producer:
        await producer.send_and_wait(
            topic.name,
            encode_champion(champion),
            key=champion.symbol.encode(),
            partition=0,
            headers=headers.get(topic.name),
        )
