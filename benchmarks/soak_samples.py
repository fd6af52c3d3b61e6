"""What `soak.py` measures of the workers while they run, and whether it stays level."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from processes import Process
from scipy.stats import theilslopes
from world import length

from stream_app.kafka.topic_check import Topics
from stream_app.kafka.topics import TopicSpec

LIMIT: Final = 0.05
"""Level: the slope over the run is at most this share of the median."""
SETTLED_AFTER: Final = 3
"""Retrains of a worker before its figures count: the pool's libraries are loaded by then."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A worker's figures at one moment."""

    at_s: float
    """Since the epoch."""
    worker_mib: float
    pool_mib: float
    """Resident memory of the training processes together."""
    open_files: int
    """Of the worker alone, sockets included; so are the threads."""
    threads: int


@dataclass(frozen=True, slots=True)
class Retrain:
    """A cycle that ended."""

    began_s: float
    ended_s: float
    symbols: int
    state: str

    @property
    def seconds_a_symbol(self) -> float:
        return (self.ended_s - self.began_s) / max(1, self.symbols)


@dataclass(slots=True)
class Life:
    """One worker process from its start to its end."""

    pid: int
    samples: list[Sample] = field(default_factory=list)
    retrains: list[Retrain] = field(default_factory=list)

    def settled_s(self) -> float:
        """From when on its figures count."""
        ends = [item.ended_s for item in self.retrains]
        return ends[SETTLED_AFTER - 1] if len(ends) >= SETTLED_AFTER else float("inf")


@dataclass(frozen=True, slots=True)
class Level:
    """How a figure went over the run: Theil-Sen's slope, which single outliers do not move."""

    median: float
    least: float
    most: float
    per_hour: float
    change: float
    """The slope times the time that was looked at, over the median."""

    @classmethod
    def of(cls, at_s: Sequence[float], values: Sequence[float]) -> Level | None:
        """None for fewer than three values."""
        if len(values) < 3:
            return None
        median = statistics.median(values)
        slope = float(theilslopes(values, at_s).slope)
        change = slope * (at_s[-1] - at_s[0]) / median if median else 0.0
        return cls(median, min(values), max(values), 3600 * slope, change)


def sample(worker: Process, now_s: float) -> Sample | None:
    """None for a process that is ending."""
    try:
        process = psutil.Process(worker.pid)
        pool = 0
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # replaced just now
                pool += child.memory_info().rss
        return Sample(
            at_s=now_s,
            worker_mib=process.memory_info().rss / 2**20,
            pool_mib=pool / 2**20,
            open_files=process.num_fds(),
            threads=process.num_threads(),
        )
    except psutil.Error:
        return None


class Answers:
    """Which ticks have been answered, from the predictions themselves."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._seen = [bytearray() for _ in range(topics.ticks.partitions)]
        self.distinct = 0
        self.predictions = 0

    async def follow(self, consumer: AIOKafkaConsumer) -> None:
        """Note each prediction's tick, until cancelled."""
        consumer.assign(_partitions(self._topics.predictions))
        await consumer.seek_to_beginning()
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    source = orjson.loads(record.value)["source"]
                    self._note(source["partition"], source["offset"])

    def _note(self, partition: int, offset: int) -> None:
        seen = self._seen[partition]
        if offset >= len(seen):
            seen.extend(bytes(offset + 1 - len(seen)))
        self.predictions += 1
        self.distinct += not seen[offset]
        seen[offset] = 1

    async def waiting(self, consumer: AIOKafkaConsumer) -> int:
        """How many ticks that the broker has are not answered yet."""
        return await length(consumer, self._topics.ticks) - self.distinct


async def retrains_of(consumer: AIOKafkaConsumer, topics: Topics, lives: Iterable[Life]) -> None:
    """Fill in the lives' retrains from the retrain events."""
    by_pid = {life.pid: life for life in lives}
    tps = _partitions(topics.retrain_events)
    ends = await consumer.end_offsets(tps)
    consumer.assign(tps)
    await consumer.seek_to_beginning()
    while any([await consumer.position(tp) < ends[tp] for tp in tps]):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                event = orjson.loads(record.value)
                life = by_pid[int(event["worker"].rsplit("-", 1)[1])]
                if event["state"] != "started":
                    ended_s = record.timestamp / 1000
                    life.retrains.append(
                        Retrain(
                            began_s=ended_s - event["duration_seconds"],
                            ended_s=ended_s,
                            symbols=len(event["symbols"]),
                            state=event["state"],
                        )
                    )


def levels(life: Life, lag: Sequence[tuple[float, int]]) -> dict[str, Level | None]:
    """Of a worker that lived through the run, by what was measured."""
    began_s = life.settled_s()
    seen = [item for item in life.samples if item.at_s > began_s]
    cycles = [item for item in life.retrains if item.ended_s > began_s]
    waited = [(at_s, count) for at_s, count in lag if at_s > began_s]
    at_s = [item.at_s for item in seen]
    return {
        "worker [MiB]": Level.of(at_s, [item.worker_mib for item in seen]),
        "training pool [MiB]": Level.of(at_s, [item.pool_mib for item in seen]),
        "open files": Level.of(at_s, [item.open_files for item in seen]),
        "threads": Level.of(at_s, [item.threads for item in seen]),
        "ticks waiting": Level.of([at for at, _ in waited], [count for _, count in waited]),
        "retrain, s a symbol": Level.of(
            [item.began_s for item in cycles], [item.seconds_a_symbol for item in cycles]
        ),
    }


def plain(lives: Iterable[Life]) -> list[dict[str, Any]]:
    """As JSON values; a column for each figure."""
    names = Sample.__dataclass_fields__
    return [
        {
            "pid": life.pid,
            "retrains": [asdict(item) for item in life.retrains],
            **{name: [getattr(item, name) for item in life.samples] for name in names},
        }
        for life in lives
    ]


def _partitions(topic: TopicSpec) -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for number in range(topic.partitions)]
