"""Sends what a batch gave, and returns when the broker has acknowledged all of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from stream_app.codec import encode_bar, encode_prediction, encode_retrain_event
from stream_app.pipeline import Answer, DeadLetter
from stream_app.schemas import RetrainEvent
from stream_app.topics import Topics

logger = logging.getLogger(__name__)

BATCH_BYTES: Final = 900_000
"""Below the broker's default limit of 1 MiB for one record batch."""
RETRY_MAX_S: Final = 5.0

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Message:
    """One record to send."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Publisher:
    """A producer of its own: Faust's costs 0.25 ms a message.

    Predictions and bars go to the partition number of their tick, which topics.yaml's equal
    partition counts make the partition that their key has anyway.
    """

    def __init__(
        self, topics: Topics, client_settings: dict[str, Any], *, idempotent: bool
    ) -> None:
        self._topics = topics
        self._producer = AIOKafkaProducer(
            **client_settings,
            acks="all",
            enable_idempotence=idempotent,
            max_batch_size=BATCH_BYTES,
            max_request_size=2 * BATCH_BYTES,
        )

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is buffered and disconnect."""
        await self._producer.stop()

    async def publish(self, answer: Answer, partition: int) -> None:
        """Send an answer; returns once all of it is acknowledged by the broker.

        Waits through an outage for as long as it lasts, trying again with the same bytes:
        what is lost in between is the consumer's place in time, never a message.
        """
        groups = [
            (
                self._topics.predictions.name,
                [
                    Message(item.symbol.encode(), encode_prediction(item))
                    for item in answer.predictions
                ],
            ),
            (
                self._topics.bars.name,
                [Message(item.symbol.encode(), encode_bar(item)) for item in answer.bars],
            ),
            (self._topics.dead_letters.name, [_dead_letter(item) for item in answer.dead_letters]),
        ]
        sends = [self._send(name, partition, messages) for name, messages in groups if messages]
        await asyncio.gather(*sends)

    async def publish_event(self, event: RetrainEvent) -> None:
        """Send a retrain event; returns once it is acknowledged."""
        message = Message(event.worker.encode(), encode_retrain_event(event))
        await self._send(self._topics.retrain_events.name, 0, [message])

    async def _send(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(KafkaError),
            wait=wait_exponential(multiplier=0.1, max=RETRY_MAX_S),
            before_sleep=_say_once,
        )
        async for attempt in retrying:
            with attempt:
                acknowledged = [
                    await self._producer.send_batch(batch, topic, partition=partition)
                    for batch in self._pack(messages)
                ]
                await asyncio.gather(*acknowledged)

    def _pack(self, messages: Iterable[Message]) -> list[Any]:
        batches = [self._producer.create_batch()]
        for message in messages:
            fields: dict[str, Any] = {
                "key": message.key,
                "value": message.value,
                "timestamp": None,
                "headers": list(message.headers),
            }
            if batches[-1].append(**fields) is None:
                batches.append(self._producer.create_batch())
                if batches[-1].append(**fields) is None:
                    raise ValueError(
                        f"a message of {len(message.value or b'')} bytes fits no batch"
                    )
        return batches


def _dead_letter(item: DeadLetter) -> Message:
    record, rejection = item.record, item.rejection
    headers = (
        ("reason", rejection.reason.encode()),
        ("detail", rejection.detail.encode(errors="replace")),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
        ("timestamp", str(record.timestamp).encode()),
    )
    return Message(record.key, record.value, headers)


def _say_once(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        error = state.outcome.exception()
        logger.warning("the broker does not acknowledge (%s); trying again until it does", error)
