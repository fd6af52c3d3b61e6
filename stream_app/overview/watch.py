"""Asks the broker, again and again, which topics there are and where the group stands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from stream_app.errors import BrokerError
from stream_app.kafka.group import open_group
from stream_app.kafka.topic_check import Topics, check_topics
from stream_app.kafka.topic_ids import KnownTopic, known_topic
from stream_app.overview.read_model import ReadModel

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 5.0
TOPICS_EVERY: Final = 5
"""Looks from one question for the topics to the next."""

Existing = Mapping[str, KnownTopic]
"""By role, the topics that are there."""


class Watch:
    """The broker's answers, written into the read model.

    Args:
        topics: as they should be.
        client_settings: how to connect.
        group: the consumer group of the workers.
        model: is updated.
    """

    def __init__(
        self, topics: Topics, client_settings: Mapping[str, Any], *, group: str, model: ReadModel
    ) -> None:
        self._topics = topics
        self._client_settings = client_settings
        self._group = group
        self._model = model
        self.existing: Existing = {}
        self._ids: dict[str, str] = {}
        """By role, of the topics that are or were there: one may be away before it is recreated."""
        self.changed = asyncio.Event()
        """Set whenever `existing` is another one than before."""

    async def run(self) -> None:
        """Poll until cancelled, on its own connections; retry after each error."""
        while True:
            try:
                await self._look_on()
            except (KafkaError, BrokerError, OSError) as error:  # a TimeoutError is an OSError
                self._note_away(error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look_on(self) -> None:
        name = self._topics.ticks.name
        looks = 0
        async with open_group(self._client_settings, group=self._group, topic=name) as view:
            while True:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    if looks % TOPICS_EVERY == 0:
                        await self._look_at_topics(view.admin)
                    if ticks := self.existing.get("ticks"):
                        places = await view.places(ticks, range(ticks.partitions))
                        places = await view.without_markers(places)
                        self._model.take_group(places, await view.members())
                    else:
                        self._model.note_answer()
                looks += 1
                await asyncio.sleep(LOOK_EVERY_S)

    async def _look_at_topics(self, admin: AIOKafkaAdminClient) -> None:
        """Which topics there are, and while any differs from topics.yaml, what differs."""
        named: dict[str, str] = {spec.name: spec.role for spec in self._topics.specs}
        listed = [item["topic"] for item in await admin.describe_topics()]
        existing = {named[name]: await known_topic(admin, name) for name in listed if name in named}
        missing = frozenset(named.values()) - existing.keys()
        reading, is_same = self._model.reading, existing == self.existing
        if is_same and missing == reading.missing and not reading.topic_problems:
            return
        report = await check_topics(self._topics, self._client_settings)
        told = reading.topic_problems
        reading.topic_problems = tuple(item.message for item in report.mismatches)
        reading.missing = missing
        for line in reading.topic_problems:
            if line not in told:
                logger.warning("%s", line)
        if is_same:
            return
        ids = {role: topic.topic_id for role, topic in existing.items()}
        if any(self._ids.get(role, topic_id) != topic_id for role, topic_id in ids.items()):
            self._model.forget()
        self._ids |= ids
        self.existing = existing
        self.changed.set()

    def _note_away(self, error: Exception) -> None:
        text = " ".join(str(error).split()) or type(error).__name__
        if self._model.reading.broker != "away":
            logger.warning("the broker does not answer (%s); asking again", text)
        self._model.note_away(text)
