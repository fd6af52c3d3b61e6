from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream_app.brokers import Broker
from stream_app.brokers.kafka import KafkaBroker
from stream_app.errors import TopicError
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import (
    Topics,
    TopicSpec,
    apply_topics,
    check_topics,
    load_topics,
    require_topics,
)
from stream_app.settings import Settings
from tests.conftest import SettingsFor


@pytest.fixture
def settings(settings_for: SettingsFor) -> Settings:
    return settings_for()


@pytest.fixture
def client(settings: Settings) -> dict[str, Any]:
    return client_settings(settings)


@pytest.fixture
def topics(settings: Settings) -> Topics:
    return load_topics(settings.topics_file)


async def create(client: dict[str, Any], spec: TopicSpec) -> None:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(
                    spec.name, spec.partitions, spec.replication, topic_configs=dict(spec.configs)
                )
            ]
        )
        async with asyncio.timeout(60):  # Kafka acknowledges a topic before it lists its leaders
            while not await has_leaders(admin, spec):
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def has_leaders(admin: AIOKafkaAdminClient, spec: TopicSpec) -> bool:
    for item in await admin.describe_topics():
        if item["topic"] == spec.name:
            leaders = [partition["leader"] for partition in item["partitions"]]
            return len(leaders) == spec.partitions and min(leaders) >= 0
    return False


async def listed(client: dict[str, Any]) -> set[str]:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


def edit(topics: Topics, **changes: Any) -> Topics:
    """The same with other ticks."""
    return replace(topics, ticks=replace(topics.ticks, **changes))


async def test_apply_makes_check_content_and_does_nothing_twice(
    topics: Topics, client: dict[str, Any]
) -> None:
    applied = await apply_topics(topics, client)
    assert len(applied.changes) == len(topics.specs)
    assert applied.refusals == ()
    checked = await check_topics(topics, client)
    assert checked.mismatches == ()
    assert checked.skipped == ()
    await require_topics(topics, client)
    again = await apply_topics(topics, client)
    assert (again.changes, again.refusals) == ((), ())


async def test_check_names_missing_topics_and_creates_none(
    topics: Topics, client: dict[str, Any]
) -> None:
    mismatches = (await check_topics(topics, client)).mismatches
    assert [mismatch.topic for mismatch in mismatches] == [spec.name for spec in topics.specs]
    assert mismatches[0].message == (
        f"{topics.ticks.name}: topics.yaml says 4 partitions, the broker has no such topic; "
        "run `stream-app topics apply` or change topics.yaml"
    )
    assert not {spec.name for spec in topics.specs} & await listed(client)


async def test_a_worker_is_not_to_start_on_other_partitions(
    topics: Topics, client: dict[str, Any]
) -> None:
    await create(client, replace(topics.bars, partitions=1))
    others = [spec for spec in topics.specs if spec is not topics.bars]
    for spec in others:
        await create(client, spec)
    with pytest.raises(TopicError) as refusal:
        await require_topics(topics, client)
    assert str(refusal.value) == (
        f"{topics.bars.name}: topics.yaml says 4 partitions, the broker has 1; "
        "run `stream-app topics apply` or change topics.yaml"
    )


async def test_require_tells_how_many_more_differ(topics: Topics, client: dict[str, Any]) -> None:
    more = len(topics.specs) - 1
    with pytest.raises(TopicError, match=rf"\(and {more} more differences\)$"):
        await require_topics(topics, client)


async def test_apply_raises_partitions_where_the_broker_can(
    topics: Topics, client: dict[str, Any], broker: Broker
) -> None:
    await create(client, replace(topics.ticks, partitions=1))
    applied = await apply_topics(topics, client)
    mismatches = (await check_topics(topics, client)).mismatches
    if isinstance(broker, KafkaBroker):
        assert f"{topics.ticks.name}: partitions raised from 1 to 4" in applied.changes[0]
        assert (applied.refusals, mismatches) == ((), ())
    else:
        assert applied.refusals[0].startswith(
            f"{topics.ticks.name}: topics.yaml says 4 partitions, the broker keeps 1: "
        )
        assert [mismatch.key for mismatch in mismatches] == ["partitions"]


async def test_ticks_get_no_partition_whose_answers_have_no_place(
    topics: Topics, client: dict[str, Any], broker: Broker
) -> None:
    if isinstance(broker, KafkaBroker):
        pytest.skip("Apache Kafka adds partitions to the others")
    for spec in topics.specs:
        await create(client, replace(spec, partitions=1))
    applied = await apply_topics(topics, client)
    (refusal,) = [line for line in applied.refusals if line.startswith(f"{topics.ticks.name}: ")]
    assert f"{topics.bars.name} has fewer, and answers go there" in refusal


async def test_apply_never_lowers_partitions_or_moves_replicas(
    topics: Topics, client: dict[str, Any]
) -> None:
    await apply_topics(topics, client)
    for changes, key in (({"partitions": 2}, "partitions"), ({"replication": 3}, "replication")):
        wanted = edit(topics, **changes)
        applied = await apply_topics(wanted, client)
        assert applied.changes == ()
        assert len(applied.refusals) == 1
        named = "set `partitions: 4` for " in applied.refusals[0]
        assert named is (key == "partitions")  # to delete the topic would be an accident
        mismatches = (await check_topics(wanted, client)).mismatches
        assert [mismatch.key for mismatch in mismatches] == [key]


async def test_apply_alters_a_config_and_keeps_the_others(
    topics: Topics, client: dict[str, Any], broker: Broker
) -> None:
    foreign = {"segment.ms": "3600000"}
    await create(client, replace(topics.ticks, configs={**topics.ticks.configs, **foreign}))
    wanted = edit(topics, configs={**topics.ticks.configs, "retention.ms": "86400000"})
    before = (await check_topics(wanted, client)).mismatches[0]
    assert before.key == "retention.ms"
    assert "says retention.ms 86400000, the broker has 2764800000;" in before.message
    applied = await apply_topics(wanted, client)
    if isinstance(broker, KafkaBroker):
        assert applied.refusals == ()
        kept = edit(wanted, configs={**wanted.ticks.configs, **foreign})
        assert (await check_topics(kept, client)).mismatches == ()
    else:
        assert "the broker keeps 2764800000" in applied.refusals[0]


async def test_a_config_that_the_broker_does_not_report_is_skipped(
    topics: Topics, client: dict[str, Any]
) -> None:
    await apply_topics(topics, client)
    wanted = edit(topics, configs={**topics.ticks.configs, "retention.msec": "1"})
    checked = await check_topics(wanted, client)
    assert checked.mismatches == ()
    assert checked.skipped == (f"{topics.ticks.name}: retention.msec",)


async def test_a_config_that_kafka_does_not_know_is_refused(
    topics: Topics, client: dict[str, Any], broker: Broker
) -> None:
    if not isinstance(broker, KafkaBroker):
        pytest.skip("the embedded broker takes any config")
    wanted = edit(topics, configs={"retention.msec": "1"})
    with pytest.raises(TopicError, match=rf"^{topics.ticks.name}: .*retention\.msec"):
        await apply_topics(wanted, client)


async def test_ticks_are_stamped_when_appended(
    topics_on_broker: Topics, client: dict[str, Any], broker: Broker
) -> None:
    if not isinstance(broker, KafkaBroker):
        pytest.skip("the embedded broker keeps the producer's timestamps")
    producer = AIOKafkaProducer(**client, acks="all")
    await producer.start()
    try:
        last_year = int(time.time() * 1000) - 365 * 86_400_000
        sent = await producer.send_and_wait(
            topics_on_broker.ticks.name, b"x", partition=0, timestamp_ms=last_year
        )
        assert sent.timestamp > last_year + 86_400_000
    finally:
        await producer.stop()


async def test_the_largest_tick_fits_the_dead_letters(
    topics_on_broker: Topics, client: dict[str, Any]
) -> None:
    producer = AIOKafkaProducer(**client, acks="all", max_request_size=2 * 1024 * 1024)
    consumer = AIOKafkaConsumer(**client)
    await producer.start()
    await consumer.start()
    try:
        value = b"x" * 1_040_000
        await producer.send_and_wait(topics_on_broker.ticks.name, value, partition=0)
        headers = [("detail", b"y" * 20_000)]
        name = topics_on_broker.dead_letters.name
        await producer.send_and_wait(name, value, partition=0, headers=headers)
        tp = TopicPartition(name, 0)
        consumer.assign([tp])
        consumer.seek(tp, 0)
        record = await consumer.getone(tp)
        assert record.value == value
        assert list(record.headers) == headers
    finally:
        await producer.stop()
        await consumer.stop()
