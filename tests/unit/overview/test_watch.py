"""What the broker says of its topics, with a broker that is made up."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from stream_app.kafka.topic_check import CheckReport, Mismatch
from stream_app.kafka.topic_ids import KnownTopic
from stream_app.kafka.topics import load_topics
from stream_app.overview import watch as watching
from stream_app.overview.read_model import ReadModel
from stream_app.overview.watch import Watch
from tests.builders import settings
from tests.topic_records import FakeClock, read_model

TOPICS = load_topics(settings().topics_file)


class FakeBroker(AIOKafkaAdminClient):  # type: ignore[misc]
    """Knows every topic by its role, and what differs."""

    def __init__(self) -> None:
        self.ids = {spec.name: f"id of {spec.role}" for spec in TOPICS.specs}
        self.mismatches: tuple[Mismatch, ...] = ()

    async def describe_topics(self, topics: list[str] | None = None) -> list[dict[str, Any]]:
        return [{"topic": name} for name in self.ids]

    async def known(self, _admin: object, name: str) -> KnownTopic:
        return KnownTopic(topic_id=self.ids[name], partitions=4)

    async def check(self, *_: object) -> CheckReport:
        return CheckReport(self.mismatches, ())


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeBroker:
    broker = FakeBroker()
    monkeypatch.setattr(watching, "known_topic", broker.known)
    monkeypatch.setattr(watching, "check_topics", broker.check)
    return broker


@pytest.fixture
def model() -> ReadModel:
    return read_model(FakeClock())


async def test_a_difference_is_told_once_and_no_more_when_it_is_gone(
    broker: FakeBroker, model: ReadModel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watch = Watch(TOPICS, {}, group="g", model=model)
    line = "market.bars.v1: retention.ms is 1"
    broker.mismatches = (Mismatch("market.bars.v1", "retention.ms", line),)
    for _ in range(2):
        await watch._look_at_topics(broker)
        assert model.reading.topic_problems == (line,)
    assert [record.getMessage() for record in caplog.records] == [line]
    watch.changed.clear()
    broker.mismatches = ()
    await watch._look_at_topics(broker)
    assert model.reading.topic_problems == ()
    assert not watch.changed.is_set(), "the topics are the same: nothing is to be read again"


async def test_a_topic_that_was_away_for_a_look_is_known_to_be_another_one(
    broker: FakeBroker, model: ReadModel
) -> None:
    watch = Watch(TOPICS, {}, group="g", model=model)
    await watch._look_at_topics(broker)
    begun, bars = model.begun, TOPICS.bars.name
    was = broker.ids.pop(bars)
    await watch._look_at_topics(broker)
    assert model.reading.missing == {"bars"}
    broker.ids[bars] = was
    await watch._look_at_topics(broker)
    assert model.begun == begun, "it is the same one"
    del broker.ids[bars]
    await watch._look_at_topics(broker)
    broker.ids[bars] = "another"
    await watch._look_at_topics(broker)
    assert model.begun == begun + 1
