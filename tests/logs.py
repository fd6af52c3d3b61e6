"""Topics in memory, as the functions of `kafka/reader.py` read them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from tests.builders import FakeRecord


@dataclass
class Logs:
    """All records of a broker, as a consumer reads them."""

    records: dict[TopicPartition, list[FakeRecord]] = field(
        default_factory=lambda: defaultdict(list)
    )
    firsts: dict[TopicPartition, int] = field(default_factory=dict)
    """Where retention has removed records: the first offset that is left."""
    here: list[TopicPartition] = field(default_factory=list)
    places: dict[TopicPartition, int] = field(default_factory=dict)

    def append(self, topic: str, partition: int, key: bytes, value: bytes, timestamp: int) -> int:
        log = self.records[TopicPartition(topic, partition)]
        log.append(FakeRecord(len(log), value, key, timestamp, topic, partition))
        return len(log) - 1

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.here = partitions

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[Any, int]:
        return {tp: self.firsts.get(tp, 0) for tp in partitions}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[Any, int]:
        return {tp: len(self.records[tp]) for tp in partitions}

    async def offsets_for_times(self, times: dict[TopicPartition, int]) -> dict[Any, None]:
        return dict.fromkeys(times)

    def last_stable_offset(self, tp: TopicPartition) -> int:
        return len(self.records[tp])

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.places[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self.places[tp]

    async def getmany(self, tp: TopicPartition, **_: Any) -> dict[Any, list[FakeRecord]]:
        found = self.records[tp][self.places[tp] :]
        self.places[tp] += len(found)
        return {tp: found}


class Reading:
    """Readers of the logs."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Logs]:
        yield self._logs
