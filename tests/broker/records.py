"""Sends and reads a few records."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition


async def send(client: dict[str, Any], topic: str, values: list[bytes | None]) -> None:
    """All in one batch, to partition 0."""
    producer = AIOKafkaProducer(**client, acks="all")
    await producer.start()
    try:
        batch = producer.create_batch()
        for number, value in enumerate(values):
            headers = [("number", str(number).encode())]
            assert batch.append(key=b"k", value=value, timestamp=None, headers=headers)
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


async def read(client: dict[str, Any], topic: str, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(**client)
    await consumer.start()
    try:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        consumer.seek(tp, 0)
        return [await consumer.getone(tp) for _ in range(count)]
    finally:
        await consumer.stop()
