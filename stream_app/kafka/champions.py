"""Reads the champions topic: which version serves each symbol."""

from __future__ import annotations

import logging
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topics import TopicSpec
from stream_app.messages.codec import decode_champion
from stream_app.messages.schemas import Champion

logger = logging.getLogger(__name__)


def champion_of(record: ConsumerRecord) -> Champion | None:
    """What a record says; None, with a warning in the log, where it is no champion."""
    try:
        return decode_champion(record.value or b"")
    except ValueError as error:
        logger.warning("%s offset %d: %s; left out", record.topic, record.offset, error)
        return None


async def read_champions(client_settings: dict[str, Any], topic: TopicSpec) -> list[Champion]:
    """All that the topic holds, in its order. Waits for the broker."""
    async with open_reader(client_settings) as consumer:
        records = read_range(consumer, TopicPartition(topic.name, 0), 0, None)
        told = [champion_of(record) async for record in records]
    return [champion for champion in told if champion is not None]
