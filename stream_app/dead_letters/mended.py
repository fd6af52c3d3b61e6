"""Which ticks were refused once and would be valid now: a restart must not enter them unanswered.

A restart goes through the ticks between a state and the commit again. With other settings than
then, such as a mapping of the feed's names, it would take refused ones into the window, and the
same ticks would be late or duplicate when `stream-app dlq replay` sends them again.
"""

from __future__ import annotations

from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.dead_letters.letter import read_letter
from stream_app.kafka.reader import read_range
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Tick
from stream_app.messages.tick_mapping import decoder_for
from stream_app.settings import Settings

CLOCKS_APART_MS: Final = 60_000
"""How far the clocks of the brokers that append ticks and letters may be apart."""


async def mended_offsets(
    consumer: AIOKafkaConsumer,
    partition: int,
    first: int,
    end: int,
    *,
    topics: Topics,
    settings: Settings,
) -> set[int]:
    """Offsets from `first` to before `end` of ticks that are valid now, but have a dead letter.

    A tick that was answered after its letter was written, as after a reset of the group, is none
    of them. Waits on the broker; called at a restore. Moves the consumer.
    """
    ticks_tp = TopicPartition(topics.ticks.name, partition)
    since = None
    async for record in read_range(consumer, ticks_tp, first, end):
        since = record.timestamp - CLOCKS_APART_MS
        break
    if since is None:
        return set()
    decode = decoder_for(settings.tick_mapping)
    refused: dict[int, int] = {}
    letters_tp = TopicPartition(topics.dead_letters.name, partition)
    async for record in read_range(
        consumer, letters_tp, await _offset_at(consumer, letters_tp, since), None
    ):
        letter = read_letter(record)
        source, at = letter.source, letter.timestamp_ms
        if source is None or source.topic != ticks_tp.topic or at is None:
            continue
        if first <= source.offset < end:
            now = decode(letter.value, letter.key, at, settings.max_future_seconds * 1000)
            if isinstance(now, Tick):
                refused[source.offset] = letter.written_ms
    if refused:
        predictions_tp = TopicPartition(topics.predictions.name, partition)
        start = await _offset_at(consumer, predictions_tp, min(refused.values()) - CLOCKS_APART_MS)
        async for record in read_range(consumer, predictions_tp, start, None):
            offset = orjson.loads(record.value or b"{}").get("source", {}).get("offset", -1)
            if record.timestamp >= refused.get(offset, record.timestamp + 1):
                del refused[offset]
    return set(refused)


async def _offset_at(consumer: AIOKafkaConsumer, tp: TopicPartition, timestamp_ms: int) -> int:
    """The first offset from a time on; the end of the partition when there is none."""
    found = (await consumer.offsets_for_times({tp: max(0, timestamp_ms)}))[tp]
    if found is None or found.timestamp < 0:  # the second is how Tansu says it
        end: int = (await consumer.end_offsets([tp]))[tp]
        return end
    offset: int = found.offset
    return offset
