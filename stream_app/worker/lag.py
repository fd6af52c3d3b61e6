"""How many ticks wait, and whether the topic is still the one that is read: every two seconds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiokafka.errors import BrokerResponseError, KafkaError

from stream_app.errors import TopicError
from stream_app.kafka.group import GroupView, open_group
from stream_app.kafka.place import RESET, made_anew
from stream_app.ops import metrics

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 5.0
NEWS_TIMEOUT_S: Final = 60.0
"""Where there are more partitions than before, the newest bar of each is read."""
UNREAD_SAID_AFTER_S: Final = 60.0
"""New partitions are given to a worker within half a minute; a restart takes as long."""


class LagWatch:
    """Compares the ticks topic with what this worker and its group have answered.

    Args:
        client_settings: how to connect.
        group: the consumer group.
        topic: of the ticks.
        positions: by partition of this worker, the offset after the last one answered; None while
            the partition is restored.
        note_partitions: told how many the topic has.
    """

    def __init__(
        self,
        client_settings: dict[str, Any],
        *,
        group: str,
        topic: str,
        positions: Callable[[], Mapping[int, int | None]],
        note_partitions: Callable[[int], Awaitable[None]],
    ) -> None:
        self._client_settings = client_settings
        self._group = group
        self._topic = topic
        self._positions = positions
        self._note_partitions = note_partitions
        self.own = 0
        """Ticks that wait for this worker, as of the last look; 0 where the broker did not say."""
        self.unread = 0
        """Ticks that wait in partitions that no worker of the group has."""
        self.unread_partitions: list[int] = []
        self.is_broker_away = False
        self._topic_id = ""
        self._beyond: set[int] = set()
        """Partitions that ended before the worker's position at the last look."""
        self._unread_since: float | None = None
        self._is_unread_said = False
        self._said = ""

    @property
    def lag(self) -> int:
        """Ticks that wait for this worker, or in partitions that no worker reads."""
        return self.own + self.unread

    async def run(self) -> None:
        """Poll until cancelled, on its own connections.

        Raises:
            TopicError: the topic is not the one that was read until now.
        """
        while True:
            # Anew after each error: a connection may wait for a broker that has gone.
            try:
                async with open_group(
                    self._client_settings, group=self._group, topic=self._topic
                ) as view:
                    while True:
                        await self._look_in_time(view)
                        await asyncio.sleep(LOOK_EVERY_S)
            except (KafkaError, TimeoutError) as error:
                self._note_error(error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look_in_time(self, view: GroupView) -> None:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            partitions = await self.look(view)
        metrics.LAST_LOOK.set_to_current_time()
        self._note_broker(away=False)
        self._said = ""
        async with asyncio.timeout(NEWS_TIMEOUT_S):
            await self._note_partitions(partitions)

    async def look(self, view: GroupView) -> int:
        """Look once. Waits on the broker.

        Returns:
            How many partitions the topic has.

        Raises:
            TopicError: the topic is not the one that was read until now.
            KafkaError: the broker does not answer, or the topic is gone.
        """
        topic = await view.known_topic()
        self._topic_id = self._topic_id or topic.topic_id
        if topic.topic_id != self._topic_id:
            raise TopicError(made_anew(self._topic, self._topic_id, topic.topic_id))
        positions = self._positions()
        owned = await view.owned()
        unread = set() if owned is None else set(range(topic.partitions)) - owned - set(positions)
        places = await view.without_markers(await view.places(topic, {*positions, *unread}))
        own: dict[int, int] = {}
        beyond = set()
        for number, position in positions.items():
            place = places[number]
            if position is None:
                own[number] = place.waiting
                continue
            own[number] = max(0, place.end - position)
            if position > place.end and position > await view.end(number):
                beyond.add(number)
        if twice := sorted(beyond & self._beyond):
            number = twice[0]
            raise TopicError(
                f"{self._topic} partition {number}: this worker has answered up to offset "
                f"{positions[number]}, but the log ends at {places[number].end}: the topic was "
                f"recreated, or the broker has lost records; {RESET}"
            )
        self._beyond = beyond
        self.own = sum(own.values())
        waiting = {number: places[number].waiting for number in unread}
        if owned is not None:  # else the group is changing, and what is unread is not known
            self._note_unread(waiting)
        metrics.LAG.clear()  # of partitions that went to other workers
        for number, count in (own | waiting).items():
            metrics.LAG.labels(str(number)).set(count)
        return topic.partitions

    def _note_unread(self, waiting: Mapping[int, int]) -> None:
        self.unread = sum(waiting.values())
        self.unread_partitions = sorted(waiting)
        metrics.UNREAD_PARTITIONS.set(len(waiting))
        now = time.monotonic()
        if not waiting:
            if self._is_unread_said:
                logger.info("all partitions of %s are read again", self._topic)
            self._unread_since, self._is_unread_said = None, False
        elif self._unread_since is None:
            self._unread_since = now
        elif not self._is_unread_said and now - self._unread_since > UNREAD_SAID_AFTER_S:
            self._is_unread_said = True
            logger.warning(
                "no worker of the group %s reads %s partition %s: %d ticks wait; see "
                "docs/accidents.md",
                self._group,
                self._topic,
                ", ".join(map(str, self.unread_partitions)),
                self.unread,
            )

    def _note_error(self, error: BaseException) -> None:
        answered = isinstance(error, BrokerResponseError)
        self._note_broker(away=not answered)
        self.own = 0  # it is unknown: the watchdog must not take it for work that waits
        text = f"{type(error).__name__}: {error}"
        if answered and text != self._said:
            logger.warning("cannot look at the lag of %s (%s)", self._topic, text)
            self._said = text

    def _note_broker(self, *, away: bool) -> None:
        if away and not self.is_broker_away:
            logger.warning("the broker does not answer; waiting for it, nothing is lost meanwhile")
        elif self.is_broker_away and not away:
            logger.info("the broker answers again")
        self.is_broker_away = away
