"""How fast symbols would move, tried on bars that are there; said before partitions are added."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream_app.errors import TopicError
from stream_app.kafka.connection import end_offset
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topics import Topics
from stream_app.kafka.widening import Widening
from stream_app.messages.codec import encode_bar
from stream_app.messages.read_bars import whole
from stream_app.moving.moves import PART
from stream_app.moving.source import MoveSource
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.replica import SLICE, Log
from stream_app.settings import Settings

SAMPLE: Final = 2_000
"""Bars of a partition that are tried: some tenths of a second."""
BEFORE: Final = 200
"""Bars that are gone through before, untimed: what a process does once only takes longer."""
GROUP_S: Final = 2.0
"""For the group to divide its partitions again, by processes that need not wait for a processor."""
TRIPS: Final = 20
"""Broker responses that a worker waits for because of a symbol, besides those for its bars."""
ASKED: Final = 5
"""How often the broker is asked to see how long that takes."""
SHARE: Final = 0.5
"""Of a processor that a worker has for it: it also answers and compresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePace:
    """Of a machine, under the load that it has."""

    read_s: float
    """To pass over a bar of another symbol."""
    move_s: float
    """To read a bar, enter it into a window and write it again."""
    tick_s: float
    """To pass over a tick."""
    trip_s: float
    """For a short question to the broker and its answer."""
    slowness: float
    """How many times as long all takes as with a processor of its own; 1 at least."""

    def pause_s(self, plan: Widening, *, noticed_s: float) -> float:
        """How long partitions wait at most that symbols come to, if one worker takes over all.

        Args:
            plan: what moves.
            noticed_s: until a worker sees that there are more partitions, at most.
        """
        if not plan.moving:
            return 0.0
        work_s = (
            plan.read_bars * self.read_s
            + plan.moved_bars * self.move_s
            + plan.passed_ticks * self.tick_s
            + (plan.moved_bars / PART + TRIPS * len(plan.moving)) * self.trip_s
        )
        return noticed_s + GROUP_S * self.slowness + work_s / SHARE


async def measured_pace(
    topics: Topics, client: Mapping[str, Any], settings: Settings, plan: Widening
) -> MovePace:
    """Read the newest bars of a partition that symbols leave, and do with them what a worker will.

    Nothing is published. Waits for the broker. Called by `stream-app topics apply`.

    Args:
        topics: the names.
        client: from `connection.client_settings`.
        settings: the workers'.
        plan: symbols move.

    Raises:
        TopicError: the bars cannot be read.
    """
    tried = _Trial(topics, dict(client), settings, min(start for start, _ in plan.moving.values()))
    try:
        await tried.read(BEFORE, is_moving=True)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        read_s = await tried.read(SAMPLE, is_moving=False)
        move_s = await tried.read(SAMPLE, is_moving=True)
        tick_s = await tried.read_ticks(SAMPLE)
        trip_s = await tried.ask()
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    except KafkaError as error:
        raise TopicError(
            f"{topics.bars.name}: it or the ticks cannot be read ({error!r}), so how long moving "
            "symbols takes cannot be said; nothing was changed; give this user Read and Describe "
            "on both"
        ) from None
    return MovePace(
        read_s=read_s,
        move_s=move_s,
        tick_s=tick_s,
        trip_s=trip_s,
        slowness=max(1.0, wall_s / cpu_s),
    )


class _Trial:
    """The newest bars of one partition."""

    def __init__(
        self, topics: Topics, client: dict[str, Any], settings: Settings, partition: int
    ) -> None:
        self._tp = TopicPartition(topics.bars.name, partition)
        self._ticks = topics.ticks.name
        self._client = client
        self._settings = settings

    async def read(self, count: int, *, is_moving: bool) -> float:
        """Seconds for each of so many bars that move, or that are others'."""
        names: set[str] = set()

        def is_wanted(name: str) -> bool:
            names.add(name)
            return is_moving

        async with open_reader(self._client) as consumer:
            consumer.assign([self._tp])
            end = await end_offset(consumer, self._tp)
            oldest: int = (await consumer.beginning_offsets([self._tp]))[self._tp]
            first = max(oldest, end - count)
            source = MoveSource(
                Log(topic=self._ticks, partition=self._tp.partition, topic_id="", partitions=1),
                is_wanted=is_wanted,
                bar_s=self._settings.bar_seconds,
                window_bars=self._settings.window_bars,
                first=first,
            )
            began_s = time.perf_counter()
            await source.read_on(consumer, self._tp.topic, _go_on)
            if is_moving:
                await self._move(source, names)
            return (time.perf_counter() - began_s) / max(1, end - first)

    async def read_ticks(self, count: int) -> float:
        """Seconds for each of so many ticks."""
        tp = TopicPartition(self._ticks, self._tp.partition)
        async with open_reader(self._client) as consumer:
            consumer.assign([tp])
            end = await end_offset(consumer, tp)
            began_s = time.perf_counter()
            records = [record async for record in read_range(consumer, tp, end - count, end)]
            return (time.perf_counter() - began_s) / max(1, len(records))

    async def ask(self) -> float:
        """Seconds until the broker has answered a question."""
        async with open_reader(self._client) as consumer:
            await consumer.beginning_offsets([self._tp])
            began_s = time.perf_counter()
            for _ in range(ASKED):
                await consumer.beginning_offsets([self._tp])
            return (time.perf_counter() - began_s) / ASKED

    async def _move(self, source: MoveSource, names: set[str]) -> None:
        partition = PartitionPipeline(PredictionSettings.of(self._settings))
        for name in names:
            luggage = source.luggage_of(name)
            if luggage is None:
                continue
            target = partition.new_symbol(name)
            bars = [bar for block in luggage.bars.blocks() for bar in block]
            for at in range(0, len(bars), SLICE):
                target.recall(bars[at : at + SLICE])
                await _go_on()
            for bar in bars:
                encode_bar(whole(bar))


async def _go_on() -> bool:
    await asyncio.sleep(0)
    return True
