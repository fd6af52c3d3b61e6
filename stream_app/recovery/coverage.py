"""How far a partition is answered, by its bars: asked where the group's commit is gone."""

from __future__ import annotations

import sys
from typing import Final

from aiokafka import TopicPartition

from stream_app.errors import TopicError
from stream_app.kafka.place import RESET, Place, made_anew
from stream_app.kafka.reader import read_range
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.log_access import LogAccess

FORGOTTEN_EACH: Final = 2000
"""Bars after which those that were read are forgotten: only what the newest say is asked."""


async def read_coverage(access: LogAccess, place: Place) -> int:
    """Read a partition's bars for the offset before which every tick is certainly answered.

    That is the floor of the newest bar. A bar is published together with the predictions of its
    batch, and its floor lies no later than where the batch began; earlier batches are complete.
    One that is published at an end in order comes after all batches.
    Waits on the broker. Called at an assignment.

    Returns:
        The offset; 0 where there are no bars.

    Raises:
        TopicError: the bars were made from another topic of this name.
        KafkaError: the broker does not answer.
    """
    log = BarLog(place.topic, sys.maxsize, topic_id=place.topic_id)
    async with access.readers.one() as reader:
        tp = TopicPartition(access.topics.bars.name, place.partition)
        read = 0
        async for record in read_range(reader, tp, 0, None):
            log.take(record)
            access.on_progress()
            read += 1
            if not read % FORGOTTEN_EACH:
                log.take_closed(1)  # a month of many symbols would take gigabytes
    if log.newest_offset < 0 and log.other_topic_id:
        raise TopicError(made_anew(place.topic, log.other_topic_id, place.topic_id))
    if log.newest_offset >= place.end:
        raise TopicError(
            f"{place.topic} partition {place.partition}: its bars reach to offset "
            f"{log.newest_offset}, but the log ends at {place.end}: the topic was recreated, or "
            f"the broker has lost records; {RESET}"
        )
    return log.floor
