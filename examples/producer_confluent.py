"""A feed with confluent-kafka: sends ticks to the partitions that every other client would choose.

What it shows
    librdkafka's default partitioner hashes keys with CRC32. Java's client, aiokafka and
    `stream-app feed` use murmur2. A symbol that is sent in both ways is in two partitions, and has
    two windows with half of its ticks each. So set `partitioner=murmur2_random`.
    A tick counts as sent once the broker has acknowledged it, which the delivery callback reports.
    While the broker is away, librdkafka tries for five minutes (`message.timeout.ms`).
How to run it
    pip install confluent-kafka
    stream-app topics apply
    python examples/producer_confluent.py --rounds 100
    KAFKA_BOOTSTRAP_SERVERS names the broker. For the embedded one, which has no idempotent
    producers, set KAFKA_IDEMPOTENT_PRODUCER=false.
What to change
    `quotes`: yield your venue's ticks, with the venue's own time as `ts`.
    After an error, send what was not acknowledged again: a duplicate tick does no harm.
    Every client on librdkafka needs the same setting: Go, .NET, Node.js, Rust, PHP.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

IDEMPOTENT = os.environ.get("KAFKA_IDEMPOTENT_PRODUCER", "true").lower() != "false"
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "EUR-USD")


def quotes(symbols: Sequence[str], rounds: int) -> Iterator[dict[str, Any]]:
    """Yield your venue's ticks. Here: a random walk for each symbol."""
    prices = dict.fromkeys(symbols, 100.0)
    for _ in range(rounds):
        time.sleep(0.01)
        for symbol in symbols:
            prices[symbol] *= 1 + random.gauss(0, 1e-4)
            now = time.time_ns() // 1_000_000  # epoch milliseconds, UTC, as an integer
            yield {"symbol": symbol, "price": prices[symbol], "ts": now}


def delivered(error: KafkaError | None, _message: Message) -> None:
    """Called from `poll` and `flush`, once a tick; what it raises comes out of them."""
    if error is not None:
        raise KafkaException(error)


def send(producer: Producer, topic: str, tick: dict[str, Any]) -> None:
    """Put one tick into librdkafka's queue; waits while that is full."""
    value = json.dumps(tick, allow_nan=False).encode()
    while True:
        try:
            producer.produce(topic, key=tick["symbol"], value=value, on_delivery=delivered)
            break
        except BufferError:
            producer.poll(1)
    producer.poll(0)


def main(topic: str, symbols: Sequence[str], rounds: int) -> None:
    """Send all quotes; raises KafkaException when the broker does not acknowledge one."""
    producer = Producer(
        {
            "bootstrap.servers": os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
            "partitioner": "murmur2_random",
            "acks": "all",
            "enable.idempotence": IDEMPOTENT,
            "log_level": 2,  # no line for each failed connection: errors come as exceptions
        }
    )
    # A broker may create a topic that is missing, with another number of partitions.
    if topic not in producer.list_topics(timeout=10).topics:
        sys.exit(f"{topic}: no such topic; create it with `stream-app topics apply`")
    sent = 0
    try:
        for tick in quotes(symbols, rounds):
            send(producer, topic, tick)
            sent += 1
    finally:
        producer.flush()  # returns when every tick is acknowledged, or has failed
    print(f"{sent} ticks sent to {topic}, all acknowledged")


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
            main(given.topic, given.symbols, given.rounds)
    except KafkaException as error:
        sys.exit(f"{given.topic}: the broker did not take all ticks: {error}")
