"""Reads the finished retrain cycles from the retrain events topic."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.kafka.reader import open_reader, read_last
from stream_app.kafka.topic_check import load_topics, require_topics
from stream_app.messages.codec import decode_retrain_event
from stream_app.messages.schemas import RetrainEvent
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

_REACH_TIMEOUT_S: Final = 10.0
_MOST_EVENTS: Final = 100_000


async def read_history(settings: Settings) -> list[RetrainEvent]:
    """The finished cycles in the topic, oldest first. Waits for the broker.

    An event that cannot be decoded is left out, with a warning in the log.

    Raises:
        BrokerError: no broker answers.
        TopicError: the topics are missing or differ from topics.yaml.
    """
    topics = load_topics(settings.topics_file)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    await require_topics(topics, client_settings(settings))
    async with open_reader(client_settings(settings)) as consumer:
        records = await read_last(consumer, topics.retrain_events, _MOST_EVENTS)
    events = []
    for record in records:
        try:
            events.append(_dated(decode_retrain_event(record.value or b"")))
        except ValueError as error:
            place = f"{record.topic} partition {record.partition} offset {record.offset}"
            logger.warning("%s: %s; left out", place, error)
    return [event for event in events if event.state != "started"]


def _dated(event: RetrainEvent) -> RetrainEvent:
    """The event, if its time is one; else a ValueError."""
    if datetime.fromisoformat(event.timestamp).tzinfo is None:
        raise ValueError(f"the timestamp {event.timestamp[:40]!r} has no time zone")
    return event
