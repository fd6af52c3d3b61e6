"""A replica begins with the copy on this disk, and is copied there. The bars decide.

A copy is what a replica has at a commit, so a replica that begins with it reads only the bars that
came later. A copy that does not fit, or is of another log, is left aside: all bars are read then.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Container
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from stream_app.kafka.reader import read_range
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.copy_parts import Head, SymbolPart
from stream_app.recovery.local_copies import UNUSABLE, Copy, LocalCopies
from stream_app.recovery.pauses import Pause
from stream_app.registry.disk import reason

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


async def take_copy(
    copies: LocalCopies,
    bars: TopicPartition,
    pipeline: PartitionPipeline,
    log: BarLog,
    *,
    consumer: AIOKafkaConsumer,
    pause: Pause,
) -> Head | None:
    """Fill an empty pipeline and log from the copy on this disk. Waits on the disk and the broker.

    Args:
        copies: of this disk.
        bars: the partition.
        pipeline: of the partition.
        log: of the partition.
        consumer: a reader.
        pause: called after each symbol.

    Returns:
        What was taken; None where there is no copy, or none of use. Then both are still empty.

    Raises:
        KafkaError: the broker does not answer. Both are still empty then, too.
    """
    try:
        with ExitStack() as held:
            copy = await asyncio.to_thread(held.enter_context, copies.reading(bars.partition))
            if copy is None or not await _is_of_this_log(copy.head, bars, log, consumer):
                return None
            first = (await consumer.beginning_offsets([bars]))[bars]
            head = copy.head
            state = head.log.since(first)
            await _fill(pipeline, copy, state.newest, pause)
            take = partial(log.take_state, last_at=head.seen_at, committed=head.committed)
            await asyncio.to_thread(take, state)
            return head
    except KafkaError:
        raise  # a RuntimeError, but not the file's
    except UNUSABLE as error:
        pipeline.symbols.clear()
        logger.warning(
            "partition %d: its copy in %s is of no use (%s); reading all of its bars",
            bars.partition,
            copies.path(bars.partition),
            reason(error) if isinstance(error, OSError) else repr(error),
        )
        return None


async def _fill(
    pipeline: PartitionPipeline, copy: Copy, symbols: Container[str], pause: Pause
) -> None:
    for number in range(copy.head.symbols):
        part = await asyncio.to_thread(copy.symbol, number)
        if part.symbol in symbols:
            pipeline.pipeline_of(part.symbol).take_recalled(part.recalled())
        await pause()


async def _is_of_this_log(
    head: Head, bars: TopicPartition, log: BarLog, consumer: AIOKafkaConsumer
) -> bool:
    """Whether it is of the same ticks, not beyond the commit, and of the same bars."""
    if head.topic_id != log.topic_id or head.committed > log.committed:
        return False
    found = [record async for record in read_range(consumer, bars, head.seen_at, head.seen_at + 1)]
    return [digest_of(record) for record in found] == [head.seen_digest]


def digest_of(record: ConsumerRecord) -> bytes:
    """Tells a record from others at its offset."""
    return hashlib.blake2b(record.value or b"", digest_size=16).digest()


async def write_copy(
    copies: LocalCopies, partition: int, pipeline: PartitionPipeline, head: Head, *, pause: Pause
) -> None:
    """Write a copy of a pipeline that only knows bars. Waits on the disk.

    Args:
        copies: of this disk.
        partition: its number.
        pipeline: whose symbols have recalled all bars and not resumed.
        head: what to say of it.
        pause: called after each symbol.

    Raises:
        OSError: the disk takes no file.
    """
    with ExitStack() as held:
        new = await _whole(held.enter_context, copies.writing(partition))
        for symbol, each in list(pipeline.symbols.items()):
            part = SymbolPart.made(symbol, each.recalled())
            await _whole(new.add, part)
            await pause()
        await _whole(new.finish, head)


async def _whole(write: Callable[[_Item], _Result], item: _Item) -> _Result:
    """Write in the disk's thread. At the worker's end, too, the file is not closed meanwhile."""
    writing = asyncio.ensure_future(asyncio.to_thread(write, item))
    try:
        return await asyncio.shield(writing)
    finally:
        await asyncio.wait([writing])
