"""When copies are made, and what the log says of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from stream_app.kafka import retries
from stream_app.kafka.place import Place
from stream_app.kafka.topic_check import load_topics
from stream_app.kafka.topic_ids import KnownTopic
from stream_app.messages.codec import encode_bar
from stream_app.messages.schemas import Bar
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery import keeper as module
from stream_app.recovery.keeper import Keeper
from stream_app.recovery.log_access import LogAccess
from stream_app.recovery.moved_bars import packed
from stream_app.recovery.replica import SLICE, Log, Replica
from tests.builders import records, settings, walk
from tests.logs import Logs, Reading

COUNT = 6000


class Around:
    """A worker with one partition, whose bars are published as a test says."""

    def __init__(self, data_dir: Path) -> None:
        self.settings = settings(data_dir=data_dir)
        self.topics = load_topics(self.settings.topics_file)
        self.logs = Logs()
        self.bars = TopicPartition(self.topics.bars.name, 0)
        readers: Any = Reading(self.logs)
        self.access = LogAccess(
            settings=self.settings, topics=self.topics, readers=readers, on_progress=lambda: None
        )
        self.partitions = {0}
        self.committed = COUNT
        self.troubles: list[Exception] = []
        """What the next requests end with."""
        self.read = 0
        self.keeper = Keeper(
            self.access,
            partitions=lambda: self.partitions,
            new_replica=self.new_replica,
            is_busy=lambda: False,
        )
        made = PartitionPipeline(PredictionSettings.of(self.settings))
        self.coming = iter(made.process(records(walk(COUNT))).bars)

    def new_replica(self, committed: int, of: Log) -> Replica:
        self.read += 1
        self.last = Replica(
            PartitionPipeline(PredictionSettings.of(self.settings)),
            committed,
            of=of,
            placement=lambda _: lambda _: (0,),
            bar_s=self.settings.bar_seconds,
            window_bars=self.settings.window_bars,
            copies=self.access.copies,
        )
        return self.last

    def publish(self, count: int) -> Bar:
        for _ in range(count):
            bar = next(self.coming)
            self.logs.append(self.bars.topic, 0, bar.symbol.encode(), encode_bar(bar), 0)
        return bar

    async def known_topic(self) -> KnownTopic:
        if self.troubles:
            raise self.troubles.pop(0)
        return KnownTopic(topic_id="", partitions=1)

    async def places(self, _: KnownTopic, numbers: Any) -> dict[int, Place]:
        place = Place(
            topic=self.topics.ticks.name,
            group="g",
            partition=0,
            topic_id="",
            first=0,
            end=COUNT,
            committed=self.committed,
            committed_topic_id="",
        )
        return dict.fromkeys(numbers, place)


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Around:
    found = Around(tmp_path)

    @asynccontextmanager
    async def group(_: LogAccess) -> AsyncIterator[Around]:
        yield found

    monkeypatch.setattr(LogAccess, "group", group)
    monkeypatch.setattr(module, "LEAST_BARS", 100)
    monkeypatch.setattr(module, "SHARE", 5)
    return found


async def test_a_copy_is_made_once_many_bars_have_come(
    around: Around, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    around.publish(99)
    await around.keeper.look()
    assert around.read == 0
    around.publish(1)
    await around.keeper.look()
    await around.keeper.look()
    assert around.read == 1
    assert caplog.messages == ["partition 0: a copy of 100 bars of 1 symbols is on this disk"]
    with around.access.copies.reading(0) as copy:
        assert copy is not None
        assert copy.head.position == 100


async def test_a_large_one_is_made_anew_for_a_share_of_its_bars(around: Around) -> None:
    around.publish(1000)
    await around.keeper.look()
    around.publish(199)
    await around.keeper.look()
    assert around.read == 1
    around.publish(1)
    await around.keeper.look()
    assert around.read == 2


async def test_what_is_there_at_the_start_counts(around: Around) -> None:
    around.publish(1000)
    await around.keeper.look()
    again = Keeper(
        around.access,
        partitions=lambda: around.partitions,
        new_replica=around.new_replica,
        is_busy=lambda: False,
    )
    await again.look()
    assert around.read == 1


async def test_a_symbol_that_is_coming_is_waited_for_without_reading_all_again(
    around: Around,
) -> None:
    last = around.publish(300)
    moved = list(packed([last], replace(last, symbol="ETH"), before=5, by="w"))
    part = encode_bar(moved[0])
    around.logs.append(around.bars.topic, 0, b"ETH", part, 0)
    await around.keeper.look()
    assert not around.access.copies.path(0).exists()
    await around.keeper.look()
    assert around.read == 1


async def test_what_is_not_answered_yet_is_not_read_again_at_each_look(around: Around) -> None:
    """After a reset of the group, say: the ticks of all bars are answered once more."""
    around.publish(600)
    around.committed = 10
    await around.keeper.look()
    await around.keeper.look()
    assert around.read == 1
    assert around.last.position == SLICE, "nor to the end: it has to be kept until it is answered"
    around.committed = COUNT // 2
    await around.keeper.look()
    assert around.read == 2
    around.committed = COUNT
    await around.keeper.look()
    with around.access.copies.reading(0) as copy:
        assert copy is not None
        assert copy.head.position == 600


async def test_a_connection_that_breaks_is_no_end_of_it(
    around: Around, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(retries, "RETRY_S", 0.0)
    around.troubles = [TimeoutError("no answer"), KafkaConnectionError("gone"), OSError("reset")]
    around.publish(300)
    running = asyncio.create_task(around.keeper.run())
    async with asyncio.timeout(10.0):
        while not around.access.copies.path(0).exists():
            await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    assert around.troubles == []
    said = [each for each in caplog.messages if each.startswith("the bars for the copies")]
    assert len(said) == 3


async def test_a_topic_that_was_recreated_is_copied_from_its_beginning(around: Around) -> None:
    around.publish(300)
    await around.keeper.look()
    around.logs.records[around.bars].clear()
    around.publish(150)
    await around.keeper.look()
    with around.access.copies.reading(0) as copy:
        assert copy is not None
        assert (copy.head.position, copy.head.bars) == (150, 150)


async def test_a_disk_that_takes_no_file_is_said_once(
    around: Around, caplog: pytest.LogCaptureFixture
) -> None:
    path = around.access.copies.path(0)
    path.parent.write_bytes(b"in the way")
    around.publish(300)
    await around.keeper.look()
    around.publish(300)
    await around.keeper.look()
    assert around.read == 2
    (line,) = (each.getMessage() for each in caplog.records if each.name == module.__name__)
    assert line == f"partition 0: no copy in {path}: File exists; a restart reads all bars"


async def test_a_partition_that_has_gone_is_not_read_to_the_end(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.publish(600)
    beginning_offsets = around.logs.beginning_offsets

    async def gone(partitions: list[TopicPartition]) -> dict[Any, int]:
        around.partitions.difference_update({0} if around.read else ())
        return await beginning_offsets(partitions)

    monkeypatch.setattr(around.logs, "beginning_offsets", gone)
    await around.keeper.look()
    assert around.read == 1
    assert not around.access.copies.path(0).exists()
