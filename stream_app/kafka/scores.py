"""Reads the newest score of each symbol from the scores topic."""

from __future__ import annotations

import logging
from typing import Final

from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.kafka.reader import open_reader, read_last
from stream_app.kafka.topic_check import load_topics, require_topics
from stream_app.messages.codec import decode_score
from stream_app.messages.schemas import Score
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

_REACH_TIMEOUT_S: Final = 10.0
_LOOK_BACK: Final = 20_000
"""Records of each partition that are searched: every symbol has one a bar."""


async def read_newest_scores(settings: Settings) -> dict[str, Score]:
    """By symbol, the newest score. Waits for the broker.

    A score that cannot be decoded is left out, with a warning in the log.

    Raises:
        BrokerError: no broker answers.
        TopicError: the topics are missing or differ from topics.yaml.
    """
    topics = load_topics(settings.topics_file)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    await require_topics(topics, client_settings(settings))
    async with open_reader(client_settings(settings)) as consumer:
        records = await read_last(consumer, topics.scores, _LOOK_BACK)
    newest: dict[str, Score] = {}
    for record in records:
        try:
            score = decode_score(record.value or b"")
        except ValueError as error:
            place = f"{record.topic} partition {record.partition} offset {record.offset}"
            logger.warning("%s: %s; left out", place, error)
            continue
        newest[score.symbol] = score
    return dict(sorted(newest.items()))
