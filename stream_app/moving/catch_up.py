"""Replays ticks that the states of moving symbols do not cover."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.dead_letters.mended import mended_offsets
from stream_app.kafka.connection import end_offset
from stream_app.kafka.reader import read_range
from stream_app.messages.schemas import Bar, Source
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.recovery.log_access import LogAccess

BACK_WITHIN: Final = 20_000
"""Offsets in which a symbol's ticks are looked for that came back before its worker knew of the new
partitions: it learns of them within two seconds."""


class CatchUp:
    """Waits on the broker; other tasks run in between."""

    def __init__(self, access: LogAccess) -> None:
        """Do nothing yet.

        Args:
            access: to the topics.
        """
        self._access = access

    async def where_they_were(
        self, there: PartitionPipeline, number: int, covered: Mapping[str, int]
    ) -> tuple[Source, list[Bar]]:
        """Replay their ticks in the partition that they come from, to its current end.

        The owner of that partition answers them.

        Args:
            there: the symbols, as their last states say.
            number: of the partition.
            covered: by symbol, the offset of the last tick that its state covers.

        Returns:
            The newest tick, and the bars that the ticks have closed.
        """
        tp = TopicPartition(self._access.topics.ticks.name, number)
        bars: list[Bar] = []
        async with self._access.readers.one() as consumer:
            consumer.assign([tp])
            end = await end_offset(consumer, tp)
            first = (await consumer.beginning_offsets([tp]))[tp]
            for name, offset in covered.items():
                if offset + 1 < first:
                    there.symbols[name].lose_history()
            start = min(covered.values()) + 1
            async for chunk in self._chunks(consumer, tp, (start, end), covered):
                bars.extend(there.replay(chunk, covered, others=sys.maxsize).bars)
        newest = max(end - 1, *covered.values())
        return Source(topic=tp.topic, partition=number, offset=newest), bars

    async def where_they_go(
        self, there: PartitionPipeline, number: int, before: Mapping[str, int]
    ) -> list[Bar]:
        """Replay ticks of symbols that return to a partition, and did so before it was known.

        The state that they had left there has answered them. Those count that are newer than all
        that the symbol had elsewhere.

        Args:
            there: the symbols, as they left the other partition.
            number: of the partition that they return to.
            before: by symbol, the offset of its first tick there that is not answered yet.

        Returns:
            The bars that the ticks have closed.
        """
        tp = TopicPartition(self._access.topics.ticks.name, number)
        newest = {name: there.symbols[name].window.newest_ts for name in before}
        bars: list[Bar] = []
        async with self._access.readers.one() as consumer:
            end = max(before.values())
            start = max(0, min(before.values()) - BACK_WITHIN)
            async for chunk in self._chunks(consumer, tp, (start, end), before):
                wanted = {
                    offset
                    for name, arrivals in there.sort(chunk).ticks.items()
                    for (ts, *_), offset, _ in arrivals
                    if name in before and offset < before[name] and ts > newest[name]
                }
                kept = [record for record in chunk if record.offset in wanted]
                bars.extend(there.process(kept, adopt=False).bars)
        return bars

    async def _chunks(
        self,
        consumer: AIOKafkaConsumer,
        tp: TopicPartition,
        within: tuple[int, int],
        symbols: Mapping[str, int],
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """Records that may be of the symbols, as many at once as a batch has."""
        settings, keys = self._access.settings, {name.encode() for name in symbols}
        mended = await mended_offsets(
            consumer, tp.partition, *within, topics=self._access.topics, settings=settings
        )
        chunk: list[ConsumerRecord] = []
        async for record in read_range(consumer, tp, *within):
            if record.offset in mended:
                continue
            if settings.tick_mapping.key_required and record.key not in keys:
                continue
            chunk.append(record)
            if len(chunk) == settings.max_batch_ticks:
                yield chunk
                chunk = []
                await self._access.go_on()
        yield chunk
        self._access.on_progress()
