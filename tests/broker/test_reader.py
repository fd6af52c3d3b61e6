"""Reading a part of a topic loses nothing that is there, also where retention works beside it."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from stream_app.kafka.connection import client_settings
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics
from tests.conftest import SettingsFor, needs_kafka

pytestmark = pytest.mark.parametrize(
    "broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True
)

RECORDS, REMOVED_TO = 6000, 5500
VALUE = b"x" * 1000
"""So large that the client does not fetch all records at once."""


async def test_what_retention_leaves_is_read_though_it_removes_the_next_records(
    settings_for: SettingsFor, topics_on_broker: Topics
) -> None:
    settings = settings_for()
    client = client_settings(settings)
    tp = TopicPartition(topics_on_broker.ticks.name, 0)
    async with connected_producer(settings) as producer:
        sent = [await producer.send(tp.topic, VALUE, partition=0) for _ in range(RECORDS)]
        for acknowledgement in sent:
            await acknowledgement
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        offsets: list[int] = []
        async with open_reader(client) as reader:
            async for record in read_range(reader, tp, 0, None):
                if not offsets:
                    await admin.delete_records({tp: RecordsToDelete(before_offset=REMOVED_TO)})
                offsets.append(record.offset)
    finally:
        await admin.close()
    assert offsets == sorted(set(offsets))
    assert set(range(REMOVED_TO, RECORDS)) <= set(offsets)
