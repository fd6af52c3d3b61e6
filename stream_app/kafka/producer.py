"""A producer for commands: the broker acknowledges every record, or the command fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Literal

import aiokafka
from aiokafka.errors import KafkaError

from stream_app.errors import BrokerError
from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.settings import Settings

Compression = Literal["gzip", "snappy", "lz4", "zstd"]
COMPRESSION: Final[Compression] = "zstd"
"""The compression of our own producers. docs/performance.md says what it saves and costs."""
_BATCH_BYTES: Final = 65_536
_CONNECT_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 5.0


@contextlib.asynccontextmanager
async def connected_producer(
    settings: Settings, *, compression: Compression | None = COMPRESSION
) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    """Start a producer for a command that sends, and close it at the end. Waits for the broker.

    Args:
        settings: how to connect.
        compression: for every record batch; None for no compression.

    Raises:
        BrokerError: no broker answers, or the broker refuses the producer.
        ConfigError: as `client_settings`.
    """
    await wait_until_reachable(settings, _CONNECT_TIMEOUT_S)
    producer = aiokafka.AIOKafkaProducer(
        **client_settings(settings),
        acks="all",
        enable_idempotence=settings.kafka_idempotent_producer,
        max_batch_size=_BATCH_BYTES,
        compression_type=compression,
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
        # Without a limit it would wait forever for a broker that is gone.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), _STOP_TIMEOUT_S)


def error_text(error: BaseException) -> str:
    r"""A client's error on one line: its name and its text.

    >>> error_text(TimeoutError())
    'TimeoutError'
    >>> error_text(OSError("no\nroute"))
    'OSError: no route'
    """
    name = type(error).__name__
    text = " ".join(str(error).removeprefix(f"{name}: ").split())[:120]
    return f"{name}: {text}" if text and text != name else name
