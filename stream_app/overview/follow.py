"""Reads the topics into the read model: first what is needed of the past, then what comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream_app.kafka.connection import end_offset
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topics import Topics
from stream_app.messages.records import Record
from stream_app.overview.bar_history import KEPT_BARS
from stream_app.overview.inputs import cut
from stream_app.overview.past import read_back
from stream_app.overview.read_model import NEWEST_ANSWERS, ReadModel
from stream_app.overview.watch import Existing, Watch

logger = logging.getLogger(__name__)

RETRY_S: Final = 2.0
POLL_MS: Final = 200
MAX_WAIT_MS: Final = 100
"""What an answer waits for at most on the embedded broker, to be shown; Kafka does not wait."""
BEFORE_THE_END: Final = {
    "predictions": NEWEST_ANSWERS,
    "bars": 0,
    "scores": 0,
    "dead_letters": 500,
    "retrain_events": 10_000,
    "champions": 100_000,
    "drift": 10_000,
}
"""By role, records of each partition with which the following begins; fewer where some of them were
taken before. Bars and scores of before are read backwards, beside it."""
MOST_BEHIND: Final = 10_000
"""Predictions of a partition. Further behind, those in between are passed over: only the newest of
each symbol is shown."""


class Follower:
    """Follows the topics that are there, and begins again when others are.

    Args:
        topics: as they should be.
        client_settings: how to connect.
        watch: says which topics there are.
        model: takes the records.
    """

    def __init__(
        self, topics: Topics, client_settings: dict[str, Any], watch: Watch, model: ReadModel
    ) -> None:
        self._names: dict[str, str] = {spec.role: spec.name for spec in topics.specs}
        self._client_settings = client_settings
        self._watch = watch
        self._model = model
        self._begun = model.begun
        self._taken: dict[TopicPartition, int] = {}
        """The offset after the newest record that the model has taken since it began."""

    async def run(self) -> None:
        """Follow until cancelled. Raises what is no fault of the broker."""
        while True:
            await self._watch.changed.wait()
            self._watch.changed.clear()
            following = asyncio.create_task(self._follow_on(self._watch.existing))
            changed = asyncio.create_task(self._watch.changed.wait())
            try:
                done, _ = await asyncio.wait(
                    {following, changed}, return_when=asyncio.FIRST_COMPLETED
                )
                if following in done:
                    following.result()  # a fault: it ends by nothing else
            finally:
                for task in (following, changed):
                    task.cancel()
                await asyncio.gather(following, changed, return_exceptions=True)

    async def _follow_on(self, existing: Existing) -> None:
        """Follow these topics, again after each error."""
        while True:
            try:
                await self._follow(existing)
            except (KafkaError, OSError) as error:
                text = f"{type(error).__name__}: {error}"
                logger.warning("cannot read the topics (%s)", text)
                self._model.reading.unreadable = cut(text)
            await asyncio.sleep(RETRY_S)

    async def _follow(self, existing: Existing) -> None:
        roles = {
            TopicPartition(self._names[role], number): role
            for role, topic in existing.items()
            if role in BEFORE_THE_END
            for number in range(topic.partitions)
        }
        if not roles:
            return
        if self._begun != self._model.begun:
            self._begun = self._model.begun
            self._taken.clear()
        async with open_reader(self._client_settings) as consumer:
            consumer.assign(list(roles))
            ends = {tp: await end_offset(consumer, tp) for tp in roles}
            firsts = await consumer.beginning_offsets(list(roles))
        async with open_reader(self._client_settings, max_wait_ms=MAX_WAIT_MS) as consumer:
            consumer.assign(list(roles))
            for tp, role in roles.items():
                newest = max(firsts[tp], ends[tp] - BEFORE_THE_END[role])
                consumer.seek(tp, max(newest, min(ends[tp], self._taken.get(tp, 0))))
            past = asyncio.create_task(self._read_past(roles, ends))
            try:
                await self._take_what_comes(consumer, roles, ends)
            finally:
                past.cancel()
                await asyncio.gather(past, return_exceptions=True)

    async def _read_past(
        self, roles: Mapping[TopicPartition, str], ends: Mapping[TopicPartition, int]
    ) -> None:
        """Earlier bars and scores, as many of each symbol as are kept."""
        try:
            async with open_reader(self._client_settings) as consumer:
                for tp, role in roles.items():
                    if role in ("bars", "scores"):
                        await self._read_partition_back(consumer, tp, role, ends[tp])
        except (KafkaError, OSError) as error:
            logger.warning("cannot read the past (%s: %s)", type(error).__name__, error)
        self._model.reading.history_read = True

    async def _read_partition_back(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, role: str, end: int
    ) -> None:
        counts: dict[bytes | None, int] = {}

        def take(records: list[Record]) -> None:
            for record in records:
                counts[record.key] = counts.get(record.key, 0) + 1
                self._model.take(role, record, is_new=False)

        # Of scores the newest is enough, but a symbol that was silent for a while has an old one.
        await read_back(
            consumer, tp, end, take, lambda: min(counts.values(), default=0) >= KEPT_BARS
        )

    async def _take_what_comes(
        self,
        consumer: AIOKafkaConsumer,
        roles: Mapping[TopicPartition, str],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        unread = set(roles)
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS)
            for tp, records in batches.items():
                if self._begun != self._model.begun:
                    return  # these are of topics that were recreated meanwhile
                self._taken[tp] = records[-1].offset + 1
                self._take(roles[tp], records, ends[tp])
                if roles[tp] == "predictions":
                    await _stay_near(consumer, tp)
            if unread:
                unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
                self._note_reading(is_done=not unread)
            await asyncio.sleep(0)

    def _note_reading(self, *, is_done: bool) -> None:
        reading = self._model.reading
        reading.unreadable = ""
        reading.newest_read = reading.newest_read or is_done

    def _take(self, role: str, records: Sequence[Record], end: int) -> None:
        is_new = records[-1].offset >= end
        if role == "predictions":
            newest = {record.key: record for record in records}.values()
            # Those of before the start are few, and the charts begin with them.
            chosen = list(newest) if is_new else records
            count = sum(record.offset >= end for record in records)
            self._model.take_answers(chosen, count, is_new=is_new)
            return
        for record in records:
            self._model.take(role, record, is_new=record.offset >= end)


async def _stay_near(consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
    """Skip what would not be shown."""
    end = consumer.highwater(tp) or 0
    if end - await consumer.position(tp) > MOST_BEHIND:
        consumer.seek(tp, end - BEFORE_THE_END["predictions"])
