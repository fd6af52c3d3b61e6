"""A connected producer whose every record is acknowledged, or it is an error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import aiokafka
from aiokafka.errors import KafkaError

from stream_app.errors import BrokerError
from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.settings import Settings

_BATCH_BYTES: Final = 65_536
_CONNECT_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 5.0


@contextlib.asynccontextmanager
async def connected_producer(settings: Settings) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    """A started producer for commands that send, closed at the end.

    Raises:
        BrokerError: no broker answers at the bootstrap servers, or it refuses the producer.
        ConfigError: as `client_settings`.
    """
    await wait_until_reachable(settings, _CONNECT_TIMEOUT_S)
    producer = aiokafka.AIOKafkaProducer(
        **client_settings(settings),
        acks="all",
        enable_idempotence=settings.kafka_idempotent_producer,
        max_batch_size=_BATCH_BYTES,
    )
    try:
        try:
            await asyncio.wait_for(producer.start(), _CONNECT_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            raise BrokerError(
                f"broker {settings.kafka_bootstrap_servers}: refuses the producer "
                f"({error_text(error)}); for a broker without idempotent producers, such as the "
                "embedded one, set KAFKA_IDEMPOTENT_PRODUCER=false"
            ) from None
        yield producer
    finally:
        # It would wait without end for the acknowledgements of a broker that is gone.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), _STOP_TIMEOUT_S)


def error_text(error: BaseException) -> str:
    """A client's error on one line: its name, and what it says beyond that."""
    name = type(error).__name__
    text = " ".join(str(error).removeprefix(f"{name}: ").split())[:120]
    return f"{name}: {text}" if text and text != name else name
