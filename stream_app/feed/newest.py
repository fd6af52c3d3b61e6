"""What the ticks topic already has, so that a feed does not go back behind it unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream_app.errors import BrokerError
from stream_app.feed.understood import utc_text
from stream_app.kafka.connection import end_offset
from stream_app.kafka.producer import error_text
from stream_app.kafka.reader import open_reader, read_range
from stream_app.messages.schemas import Tick
from stream_app.messages.tick_mapping import Decoder

LOOKED_AT: Final = 500
"""How many records at the end of each partition are looked at."""


async def newest_on_topic(
    client_settings: dict[str, Any],
    topic: str,
    partitions: list[int],
    *,
    decode: Decoder,
    max_future_ms: float,
) -> dict[str, int]:
    """The newest event time of each symbol among the last records of a topic, epoch ms.

    Waits on the broker. A symbol without a tick among the last `LOOKED_AT` records of its
    partition is not known.

    Args:
        client_settings: of the cluster.
        topic: the ticks.
        partitions: all of the topic's.
        decode: the worker's, so that only those ticks count that it answers.
        max_future_ms: how far a tick may be ahead of its record, as for the worker.

    Raises:
        BrokerError: the broker does not let the topic be read.
    """
    newest: dict[str, int] = {}
    try:
        async with open_reader(client_settings) as consumer:
            for partition in partitions:
                tp = TopicPartition(topic, partition)
                consumer.assign([tp])
                end = await end_offset(consumer, tp)
                async for record in read_range(consumer, tp, end - LOOKED_AT, end):
                    tick = decode(record.value, record.key, record.timestamp, max_future_ms)
                    if isinstance(tick, Tick):
                        newest[tick.symbol] = max(newest.get(tick.symbol, 0), tick.ts)
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(
            f"topic {topic}: its last ticks cannot be read ({error_text(error)}); check that the "
            "broker runs at KAFKA_BOOTSTRAP_SERVERS and that you may read the topic"
        ) from None
    return newest


def behind(first: Mapping[str, int], newest: Mapping[str, int]) -> list[str]:
    """A warning for each symbol whose ticks begin before what the topic has of it.

    >>> behind({"BTC": 1640995200000}, {"BTC": 1640995260000})[0].partition(";")[0]
    'BTC begins at 2022-01-01T00:00:00Z, behind the 2022-01-01T00:01:00Z that the topic has'

    Args:
        first: by symbol, the event time of the first tick to be sent, epoch ms.
        newest: by symbol, the newest event time on the topic.
    """
    return [
        f"{symbol} begins at {utc_text(ts)}, behind the {utc_text(newest[symbol])} that the topic "
        "has; ticks behind it by more than GRACE_SECONDS are late and enter no bar"
        for symbol, ts in first.items()
        if ts < newest.get(symbol, 0)
    ]
