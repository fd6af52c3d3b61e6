"""Following the topics, with a consumer that stands for the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition

from stream_app.kafka.topic_ids import KnownTopic
from stream_app.kafka.topics import load_topics
from stream_app.overview import follow, sections
from stream_app.overview.follow import Follower
from stream_app.overview.read_model import ReadModel
from stream_app.overview.watch import Watch
from tests.builders import START_MS, FakeRecord, settings
from tests.topic_records import NOON, FakeClock, champion, dead_letter, prediction, read_model

TOPICS = load_topics(settings().topics_file)
LETTERS, CHAMPIONS = TOPICS.dead_letters.name, TOPICS.champions.name
EXISTING = {
    "dead_letters": KnownTopic(topic_id="a", partitions=1),
    "champions": KnownTopic(topic_id="b", partitions=1),
}


class FakeLogs:
    """The logs of some topics of one partition, as a consumer reads them."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[FakeRecord]] = {}
        self._at: dict[TopicPartition, int] = {}

    def append(self, topic: str, *records: FakeRecord) -> None:
        log = self.records.setdefault(TopicPartition(topic, 0), [])
        for record in records:
            log.append(replace(record, topic=topic, offset=len(log)))

    @asynccontextmanager
    async def reader(self, *_: Any, **__: Any) -> AsyncIterator[FakeLogs]:
        yield self

    def assign(self, tps: list[TopicPartition]) -> None:
        self._at = dict.fromkeys(tps, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._at[tp] = offset

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def end_offset(self, _consumer: Any, tp: TopicPartition) -> int:
        return len(self.records[tp])

    async def position(self, tp: TopicPartition) -> int:
        return self._at[tp]

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[FakeRecord]]:
        await asyncio.sleep(0.001)
        found = {tp: self.records[tp][at:] for tp, at in self._at.items()}
        self._at = {tp: len(self.records[tp]) for tp in self._at}
        return {tp: records for tp, records in found.items() if records}


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> FakeLogs:
    logs = FakeLogs()
    monkeypatch.setattr(follow, "open_reader", logs.reader)
    monkeypatch.setattr(follow, "end_offset", logs.end_offset)
    return logs


@asynccontextmanager
async def following(model: ReadModel) -> AsyncIterator[Watch]:
    watch = Watch(TOPICS, {}, group="g", model=model)
    watch.existing = EXISTING
    watch.changed.set()
    running = asyncio.create_task(Follower(TOPICS, {}, watch, model).run())
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


async def test_when_another_topic_appears_nothing_is_counted_or_listed_twice(
    logs: FakeLogs,
) -> None:
    model = read_model(FakeClock())
    logs.append(LETTERS, *(dead_letter(offset) for offset in range(3)))
    logs.append(CHAMPIONS, champion("v1"), champion("v2"))
    logs.append(TOPICS.drift.name)
    async with following(model) as watch:
        await until(lambda: sections.letters(model)["counts"] == {"not_json": 3})
        watch.existing = EXISTING | {"drift": KnownTopic(topic_id="c", partitions=1)}
        watch.changed.set()
        logs.append(LETTERS, dead_letter(3))
        logs.append(CHAMPIONS, champion("v3", NOON))
        await until(lambda: len(model.versions.table("BTC-USD")) >= 3)
        await until(lambda: sections.letters(model)["counts"]["not_json"] >= 4)
        await asyncio.sleep(0.05)
    assert sections.letters(model)["counts"] == {"not_json": 4}
    assert len(sections.letters(model)["newest"]) == 4
    versions = [line["version"] for line in model.versions.table("BTC-USD")]
    assert versions == ["v3", "v2", "v1"]


async def test_topics_that_were_recreated_are_read_from_their_beginning(logs: FakeLogs) -> None:
    model = read_model(FakeClock())
    logs.append(LETTERS, *(dead_letter(offset) for offset in range(3)))
    logs.append(CHAMPIONS)
    async with following(model) as watch:
        await until(lambda: sections.letters(model)["counts"] == {"not_json": 3})
        logs.records[TopicPartition(LETTERS, 0)].clear()
        logs.append(LETTERS, *(dead_letter(offset, reason="bad_price") for offset in range(5)))
        model.forget()
        watch.existing = EXISTING | {"dead_letters": KnownTopic(topic_id="z", partitions=1)}
        watch.changed.set()
        await until(lambda: bool(sections.letters(model)["counts"]))
        await asyncio.sleep(0.05)
    assert sections.letters(model)["counts"] == {"bad_price": 5}


async def test_a_fault_ends_it_instead_of_leaving_the_page_as_it_was(
    logs: FakeLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    model = read_model(FakeClock())
    monkeypatch.setattr(model, "take", broken)
    logs.append(LETTERS, dead_letter(0))
    logs.append(CHAMPIONS)
    watch = Watch(TOPICS, {}, group="g", model=model)
    watch.existing = EXISTING
    watch.changed.set()
    async with asyncio.timeout(2):
        with pytest.raises(RuntimeError, match="a fault"):
            await Follower(TOPICS, {}, watch, model).run()


async def test_answers_of_before_the_start_are_in_no_rate() -> None:
    clock = FakeClock()
    model = read_model(clock)
    follower = Follower(TOPICS, {}, Watch(TOPICS, {}, group="g", model=model), model)
    records = [prediction(START_MS + number) for number in range(1001)]
    follower._take("predictions", records, end=991)
    clock.passed_s = 1
    assert model.answers_per_second == 1.0, "ten are new, and the rate is that of ten seconds"
