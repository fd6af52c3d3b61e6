"""Counts of partitions are looked for where no bar that was read names the one of now."""

from __future__ import annotations

import asyncio

import pytest

from stream_app.kafka.topic_check import load_topics
from stream_app.moving.partition_counts import PartitionCounts
from stream_app.recovery.log_access import LogAccess, Readers
from tests.builders import settings

SETTINGS = settings()
ACCESS = LogAccess(
    settings=SETTINGS,
    topics=load_topics(SETTINGS.topics_file),
    readers=Readers({}),
    on_progress=lambda: None,
)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []

    async def look(_self: PartitionCounts, partitions: int) -> set[int]:
        made.append(partitions)
        await asyncio.sleep(0)
        return {2, 5}

    monkeypatch.setattr(PartitionCounts, "_read_newest", look)
    return made


async def test_nothing_is_read_where_no_partitions_were_added(looks: list[int]) -> None:
    counts = PartitionCounts(ACCESS)
    assert await counts.learn(4, {4}) == (4,)
    assert await counts.learn(4, set()) == (4,)
    assert await counts.learn(4) == (4,)
    assert looks == []


async def test_a_count_that_no_bar_names_has_the_others_looked_for_once(looks: list[int]) -> None:
    counts = PartitionCounts(ACCESS)
    learned = await asyncio.gather(*(counts.learn(8, {1}) for _ in range(4)))
    assert set(learned) == {(1, 2, 5, 8)}
    assert looks == [8]


async def test_a_topic_made_anew_with_fewer_partitions_has_had_no_more(looks: list[int]) -> None:
    counts = PartitionCounts(ACCESS)
    await counts.learn(8, {8})
    assert await counts.learn(4) == (2, 4)
    assert looks == [4]
