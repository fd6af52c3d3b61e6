"""Sends what a batch gave, and returns when the broker has acknowledged all of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from tenacity import AsyncRetrying, retry_if_exception, wait_exponential

from stream_app.dead_letters.letter import letter_of
from stream_app.kafka.producer import COMPRESSION
from stream_app.kafka.retries import may_pass
from stream_app.kafka.topic_check import Topics, TopicSpec
from stream_app.messages.codec import (
    encode_bar,
    encode_champion,
    encode_retrain_event,
    encode_score,
)
from stream_app.messages.records import Headers, Message
from stream_app.messages.schemas import Bar, Champion, RetrainEvent, Score
from stream_app.prediction.pipeline import Answer
from stream_app.prediction.writing import Predictions

logger = logging.getLogger(__name__)

BATCH_BYTES: Final = 900_000
"""Below the broker's default limit of 1 MiB for one record batch."""
RETRY_MAX_S: Final = 5.0
STOP_TIMEOUT_S: Final = 3.0
NO_TRACES: Final[Mapping[int, Headers]] = {}
_Keyed = TypeVar("_Keyed", Bar, Score, Champion)
"""What is keyed by its symbol."""


class Publisher:
    """A producer of its own: Faust's costs 0.25 ms a message.

    Predictions, bars and scores go to the partition number of their tick, which topics.yaml's equal
    partition counts make the partition that their key has anyway.
    """

    def __init__(
        self, topics: Topics, client_settings: dict[str, Any], *, idempotent: bool
    ) -> None:
        self._topics = topics
        self.attempts = 0
        """How often something was sent, acknowledged or not: a sign of life in an outage."""
        self._headers: dict[str, Headers] = {spec.name: [] for spec in self.written}
        """By topic, the same list for each of its records."""
        self._arguments: dict[str, Any] = {
            **client_settings,
            "acks": "all",
            "enable_idempotence": idempotent,
            "compression_type": COMPRESSION,
            "max_batch_size": BATCH_BYTES,
            "max_request_size": 2 * BATCH_BYTES,
        }

    @property
    def written(self) -> tuple[TopicSpec, ...]:
        """The topics whose messages are made here; dead letters are copies."""
        topics = self._topics
        return (
            topics.predictions,
            topics.bars,
            topics.scores,
            topics.retrain_events,
            topics.champions,
        )

    async def start(self, headers: Mapping[str, Headers] | None = None) -> None:
        """Connect.

        Args:
            headers: what each record of a topic has, by the topic's name.
        """
        self._headers |= headers or {}
        self._producer = AIOKafkaProducer(**self._arguments)
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is buffered and disconnect; gives up on a broker that is gone."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._producer.stop(), STOP_TIMEOUT_S)

    async def publish(
        self, answer: Answer, partition: int, traces: Mapping[int, Headers] = NO_TRACES
    ) -> None:
        """Send an answer; returns once all of it is acknowledged by the broker.

        Waits through an outage for as long as it lasts, trying again with the same bytes:
        what is lost in between is the consumer's place in time, never a message.

        Args:
            answer: to a batch.
            partition: the number of its partition.
            traces: by offset of a tick, headers that its prediction carries on; few or none have.
        """
        topics = self._topics
        groups = [
            (topics.predictions.name, self._predictions(answer.predictions, traces)),
            self._keyed(topics.bars.name, encode_bar, answer.bars),
            self._keyed(topics.scores.name, encode_score, answer.scores),
            (topics.dead_letters.name, [letter_of(item) for item in answer.dead_letters]),
        ]
        sends = [self._send(name, partition, messages) for name, messages in groups if messages]
        await asyncio.gather(*sends)

    async def publish_event(self, event: RetrainEvent) -> None:
        """Send a retrain event; returns once it is acknowledged."""
        name = self._topics.retrain_events.name
        message = Message(event.worker.encode(), encode_retrain_event(event), self._headers[name])
        await self._send(name, 0, [message])

    async def publish_champion(self, champion: Champion) -> None:
        """Say which version serves a symbol; returns once it is acknowledged."""
        name, messages = self._keyed(self._topics.champions.name, encode_champion, [champion])
        await self._send(name, 0, messages)

    def _predictions(self, given: Predictions, traces: Mapping[int, Headers]) -> list[Message]:
        """With the trace of the tick where it has one."""
        headers = self._headers[self._topics.predictions.name]
        if not traces:
            return [
                Message(key, value, headers)
                for key, value in zip(given.keys, given.values(), strict=True)
            ]
        return [
            Message(key, value, [*headers, *traces.get(offset, ())])
            for key, value, offset in zip(given.keys, given.values(), given.offsets, strict=True)
        ]

    def _keyed(
        self, topic: str, encode: Callable[[_Keyed], bytes], items: Sequence[_Keyed]
    ) -> tuple[str, list[Message]]:
        """A topic's name, and messages to it with their symbols as keys."""
        headers = self._headers[topic]
        return topic, [Message(item.symbol.encode(), encode(item), headers) for item in items]

    async def _send(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        try:
            await self._attempt(topic, partition, messages)
        except KafkaError as error:
            if not may_pass(error):
                raise
            logger.warning(
                "the broker does not acknowledge (%s); trying again until it does", error
            )
            await self._try_again(topic, partition, messages)
            logger.info("the broker acknowledges again")

    async def _try_again(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        # Not for the first attempt too: tenacity's objects refer to each other in circles, thirty
        # of them for each batch, and only a garbage collection of 25 ms would free them.
        retrying = AsyncRetrying(
            retry=retry_if_exception(may_pass),
            wait=wait_exponential(multiplier=0.1, max=RETRY_MAX_S),
            reraise=True,
        )
        await retrying(self._attempt, topic, partition, messages)

    async def _attempt(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        self.attempts += 1
        await self._know_partition(topic, partition)
        acknowledged = [
            await self._producer.send_batch(batch, topic, partition=partition)
            for batch in self._pack(messages)
        ]
        await asyncio.gather(*acknowledged)

    async def _know_partition(self, topic: str, partition: int) -> None:
        """Ask the broker once more where the producer has not heard of a new partition yet."""
        if partition not in await self._producer.partitions_for(topic):
            await self._producer.client.force_metadata_update()
            if partition not in await self._producer.partitions_for(topic):
                raise UnknownTopicOrPartitionError(f"{topic} has no partition {partition} yet")

    def _pack(self, messages: Iterable[Message]) -> list[Any]:
        batches = [self._producer.create_batch()]
        for key, value, headers in messages:
            fields: dict[str, Any] = {
                "timestamp": None,
                "key": key,
                "value": value,
                "headers": headers,
            }
            if batches[-1].append(**fields) is None:
                batches.append(self._producer.create_batch())
                if batches[-1].append(**fields) is None:
                    raise ValueError(f"a message of {len(value or b'')} bytes fits no batch")
        return batches
