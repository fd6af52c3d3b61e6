"""What adding partitions will do, worked out before: who moves, and what has to be read for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from stream_app.errors import TopicError
from stream_app.kafka.placement import partition_of
from stream_app.kafka.reader import open_reader, read_last
from stream_app.kafka.topic_admin import connected
from stream_app.kafka.topics import Topics
from stream_app.messages.read_bars import read_bar

NEWEST: Final = 2_000
"""Bars of each partition in which symbols are looked for."""
SHOWN: Final = 10
"""Symbols that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """Partitions that are to be added to the ticks topic and its twins."""

    topic: str
    before: int
    after: int
    moving: Mapping[str, tuple[int, int]]
    """By symbol, the partition that it is in and the one that it belongs to then."""
    staying: int
    """Symbols that stay where they are."""
    read_bars: int
    """That must be read. Each partition that gets symbols reads all bars of each that it gets them
    from."""
    moved_bars: int
    """That symbols take along, about."""
    passed_ticks: int
    """That are gone through for what symbols had since their states, where each comes alone."""

    def lines(self, pause_s: float) -> list[str]:
        """The plan, a line for each fact.

        Args:
            pause_s: how long the partitions wait that symbols come to.
        """
        symbols = sorted(self.moving)
        ways = [f"{name} ({start} to {end})" for name, (start, end) in sorted(self.moving.items())]
        shown = ", ".join(ways[:SHOWN])
        if (more := len(ways) - SHOWN) > 0:
            shown += f" and {more} more"
        head = f"{self.topic}: from {self.before} to {self.after} partitions"
        if not symbols:
            return [f"{head}; no symbol moves"]
        return [
            f"{head}; {len(symbols)} of {len(symbols) + self.staying} symbols move, with bars, "
            f"state and models: {shown}",
            f"{self.topic}: the first tick of a symbol that moves waits while its bars are read, "
            f"and so do the other ticks of the partition that it comes to: at most about "
            f"{math.ceil(pause_s)} s, if one worker takes over all of it and is as fast as this "
            "machine was just now; no tick is lost",
        ]


def widening_of(
    topic: str,
    counts: tuple[int, int],
    symbols: Mapping[str, int],
    bars: Mapping[int, int],
    window_bars: int,
) -> Widening:
    """Work out who moves. Pure.

    Args:
        topic: of the ticks.
        counts: of partitions, before and after.
        symbols: those that are known, and how many ticks lie behind the state of each.
        bars: by partition, how many it has.
        window_bars: the most that a symbol takes along.
    """
    before, after = map(range, counts)
    ways = {
        name: (partition_of(name.encode(), before), partition_of(name.encode(), after))
        for name in symbols
    }
    moving = {name: way for name, way in ways.items() if way[0] != way[1]}
    there = Counter(start for start, _ in ways.values())
    each = {start: min(window_bars, bars.get(start, 0) // there[start]) for start in there}
    return Widening(
        topic=topic,
        before=counts[0],
        after=counts[1],
        moving=moving,
        staying=len(ways) - len(moving),
        read_bars=sum(bars.get(start, 0) for start, _ in set(moving.values())),
        moved_bars=sum(each[start] for start, _ in moving.values()),
        passed_ticks=sum(symbols[name] for name in moving),
    )


def ticks_behind(newest: Iterable[ConsumerRecord], ends: Mapping[int, int]) -> dict[str, int]:
    """By symbol, how many ticks of its partition lie behind its newest state at most. Pure.

    Those that do now, or as many as have lain between two of its bars.

    Args:
        newest: bars, those of a partition in order.
        ends: by partition, the offset after the last tick.
    """
    most: dict[str, int] = {}
    covered: dict[str, tuple[int, int]] = {}
    for record in newest:
        try:
            bar = read_bar(record.value or b"")
        except (ValueError, KeyError, TypeError):
            continue  # a restore says what is wrong with it
        number, offset = record.partition, bar.source.offset
        last = covered.get(bar.symbol)
        if last is not None and last[0] == number:
            most[bar.symbol] = max(most.get(bar.symbol, 0), offset - last[1])
        covered[bar.symbol] = number, offset
    for symbol, (number, offset) in covered.items():
        most[symbol] = max(most.get(symbol, 0), ends.get(number, 0) - offset - 1)
    return most


async def plan_widening(
    topics: Topics, client: Mapping[str, Any], window_bars: int
) -> Widening | None:
    """What applying topics.yaml will do to symbols; None where it adds no partitions to ticks.

    Waits for the broker. Called by `stream-app topics apply`.

    Args:
        topics: as they should be.
        client: from `connection.client_settings`.
        window_bars: the most that a symbol takes along.

    Raises:
        BrokerError: the broker does not answer.
        TopicError: the bars cannot be read.
    """
    ticks, bars = topics.ticks, topics.bars
    async with connected(client) as admin:
        found = await admin.describe([ticks.name, bars.name])
    if ticks.name not in found or bars.name not in found:
        return None
    before = found[ticks.name].partitions
    if before >= ticks.partitions:
        return None
    there = [TopicPartition(bars.name, number) for number in range(before)]
    try:
        async with open_reader(dict(client)) as consumer:
            firsts = await consumer.beginning_offsets(there)
            ends = await consumer.end_offsets(there)
            newest = await read_last(consumer, replace(bars, partitions=before), NEWEST)
            answered = [TopicPartition(ticks.name, number) for number in range(before)]
            upto = await consumer.end_offsets(answered)
    except KafkaError as error:
        raise TopicError(
            f"{bars.name}: cannot be read ({error!r}), so who moves cannot be said; nothing was "
            f"changed; give this user Read and Describe on it and on {ticks.name}"
        ) from None
    keys = (record.key.decode(errors="replace") for record in newest if record.key)
    symbols = dict.fromkeys(keys, 0)
    symbols |= ticks_behind(newest, {tp.partition: end for tp, end in upto.items()})
    counts = {tp.partition: ends[tp] - firsts[tp] for tp in there}
    return widening_of(ticks.name, (before, ticks.partitions), symbols, counts, window_bars)
