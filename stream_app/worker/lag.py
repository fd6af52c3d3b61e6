"""How many records wait, and whether the broker answers: looked at every two seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream_app.kafka.reader import open_reader
from stream_app.ops import metrics

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 5.0


class LagWatch:
    """Compares the ends of the ticks' partitions with what this worker has answered."""

    def __init__(
        self,
        client_settings: dict[str, Any],
        topic: str,
        positions: Callable[[], Mapping[int, int]],
    ) -> None:
        self._client_settings = client_settings
        self._topic = topic
        self._positions = positions
        self.lag = 0
        """Records that wait, as of the last look that the broker answered."""
        self.is_broker_away = False

    async def run(self) -> None:
        """Look again and again, by a connection of its own, until cancelled."""
        async with open_reader(self._client_settings) as consumer:
            while True:
                positions = {
                    TopicPartition(self._topic, number): position
                    for number, position in self._positions().items()
                }
                try:
                    async with asyncio.timeout(ANSWER_TIMEOUT_S):
                        ends = await consumer.end_offsets(list(positions)) if positions else {}
                    self.lag = sum(max(0, ends[tp] - at) for tp, at in positions.items())
                    self._note_broker(away=False)
                except (KafkaError, TimeoutError):
                    self._note_broker(away=True)
                metrics.LAG.set(self.lag)
                await asyncio.sleep(LOOK_EVERY_S)

    def _note_broker(self, *, away: bool) -> None:
        if away and not self.is_broker_away:
            logger.warning("the broker does not answer; waiting for it, nothing is lost meanwhile")
        elif self.is_broker_away and not away:
            logger.info("the broker answers again")
        self.is_broker_away = away
