from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.brokers import Broker
from stream_app.brokers.kafka import KafkaBroker
from stream_app.kafka.connection import client_settings, end_offset
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics
from stream_app.settings import load_settings
from tests.broker.records import read, send
from tests.conftest import SettingsFor


def test_a_broker_has_a_name_for_people_and_settings_for_clients(broker: Broker) -> None:
    assert broker.name.startswith(("embedded broker (Tansu 0.6.0", "Apache Kafka 4."))
    settings = load_settings(**broker.settings_overrides)
    assert settings.kafka_bootstrap_servers.startswith("127.0.0.1:")
    assert settings.kafka_session_timeout_seconds == 6.0
    assert settings.kafka_idempotent_producer is isinstance(broker, KafkaBroker)


async def test_a_batch_comes_back_with_nulls_and_headers(
    topics_on_broker: Topics, settings_for: SettingsFor
) -> None:
    client = client_settings(settings_for())
    values = [b"a", None, b""]
    await send(client, topics_on_broker.ticks.name, values)
    records = await read(client, topics_on_broker.ticks.name, 3)
    assert [record.value for record in records] == values
    assert [record.offset for record in records] == [0, 1, 2]
    assert list(records[2].headers) == [("number", b"2")]


async def test_the_end_offset_is_after_the_last_record(
    topics_on_broker: Topics, settings_for: SettingsFor
) -> None:
    client = client_settings(settings_for())
    tp = TopicPartition(topics_on_broker.bars.name, 0)
    async with open_reader(client) as reader:
        reader.assign([tp])
        assert await end_offset(reader, tp) == 0
        for size, end in ((5, 5), (1, 6), (7, 13)):
            await send(client, tp.topic, [b"x"] * size)
            assert await end_offset(reader, tp) == end


async def test_a_group_goes_on_where_it_committed(
    topics_on_broker: Topics, settings_for: SettingsFor
) -> None:
    settings = settings_for()
    client = client_settings(settings)
    name = topics_on_broker.ticks.name
    await send(client, name, [b"0", b"1", b"2"])
    seen = []
    for _ in range(2):
        consumer = AIOKafkaConsumer(
            name,
            **client,
            group_id=settings.consumer_group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.kafka_session_timeout_seconds * 1000),
        )
        await consumer.start()
        try:
            record = await consumer.getone()
            seen.append(record.value)
            await consumer.commit({TopicPartition(name, record.partition): record.offset + 1})
        finally:
            await consumer.stop()
    assert seen == [b"0", b"1"]
