"""A feed with aiokafka: sends ticks, and knows which of them the broker has stored.

What it shows
    One JSON object per tick, keyed by its symbol. The default partitioner puts all ticks of a
    symbol into one partition, in the order in which they were sent. A batch counts as sent once
    the broker has acknowledged all of it; otherwise the program ends with an error.
How to run it
    stream-app topics apply
    python examples/producer_aiokafka.py --rounds 100
    KAFKA_BOOTSTRAP_SERVERS names the broker. For the embedded one, which has no idempotent
    producers, set KAFKA_IDEMPOTENT_PRODUCER=false.
What to change
    `quotes`: yield what your venue has sent since the last time, with the venue's own time as `ts`.
    After an error, send the last batch again: a duplicate tick does no harm.
    On a cluster with SASL or TLS, give the producer aiokafka's arguments for them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

IDEMPOTENT = os.environ.get("KAFKA_IDEMPOTENT_PRODUCER", "true").lower() != "false"
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "EUR-USD")


async def quotes(symbols: Sequence[str], rounds: int) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield what arrived since the last time. Here: one step of a random walk for each symbol."""
    prices = dict.fromkeys(symbols, 100.0)
    for _ in range(rounds):
        await asyncio.sleep(0.01)
        for symbol in symbols:
            prices[symbol] *= 1 + random.gauss(0, 1e-4)
        now = time.time_ns() // 1_000_000  # epoch milliseconds, UTC, as an integer
        yield [{"symbol": name, "price": price, "ts": now} for name, price in prices.items()]


async def main(topic: str, symbols: Sequence[str], rounds: int) -> None:
    """Send all quotes; raises KafkaError when the broker does not acknowledge a batch."""
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        acks="all",
        enable_idempotence=IDEMPOTENT,
    )
    try:
        await producer.start()
        # A broker may create a topic that is missing, with another number of partitions.
        if topic not in (await producer.client.fetch_all_metadata()).topics():
            sys.exit(f"{topic}: no such topic; create it with `stream-app topics apply`")
        sent = 0
        async for ticks in quotes(symbols, rounds):
            batch = [
                await producer.send(
                    topic,
                    key=tick["symbol"].encode(),
                    value=json.dumps(tick, allow_nan=False).encode(),
                )
                for tick in ticks
            ]
            await asyncio.gather(*batch)
            sent += len(batch)
        print(f"{sent} ticks sent to {topic}, all acknowledged")
    finally:
        await producer.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topic", default="market.ticks.v1")
    parser.add_argument("--symbols", nargs="+", default=SYMBOLS)
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(main(given.topic, given.symbols, given.rounds))
    except KafkaError as error:
        sys.exit(f"{given.topic}: the broker did not take all ticks: {error}")
