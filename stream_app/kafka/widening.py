"""What adding partitions will do, worked out before: who moves, and how long that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream_app.errors import TopicError
from stream_app.kafka.placement import partition_of
from stream_app.kafka.reader import open_reader, read_last
from stream_app.kafka.topic_admin import connected
from stream_app.kafka.topics import Topics

NEWEST: Final = 2_000
"""Bars of each partition in which symbols are looked for."""
LEARN_S: Final = 4.0
"""Until a worker has heard of a new partition, for which it looks every two seconds, and the group
has given it to one."""
READ_PER_S: Final = 20_000
"""Bars of others that are passed over in a second."""
MOVE_PER_S: Final = 1_000
"""Bars that are read, entered into a window and published again in a second, as measured with six
processes on each core; on an idle one it is about five times as many."""
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

    @property
    def pause_s(self) -> float:
        """How long the partitions wait that symbols come to, where one worker takes all of it
        over.
        """
        if not self.moving:
            return 0.0
        return LEARN_S + self.read_bars / READ_PER_S + self.moved_bars / MOVE_PER_S

    def lines(self) -> list[str]:
        """The plan, a line for each fact."""
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
            f"and so do the other ticks of the partition that it comes to: {self.pause_s:.0f} s in "
            "all at most where one worker takes over everything; no tick is lost",
        ]


def widening_of(
    topic: str,
    counts: tuple[int, int],
    symbols: Collection[str],
    bars: Mapping[int, int],
    window_bars: int,
) -> Widening:
    """Work out who moves. Pure.

    Args:
        topic: of the ticks.
        counts: of partitions, before and after.
        symbols: that are known.
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
    )


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
    except KafkaError as error:
        raise TopicError(
            f"{bars.name}: cannot be read ({error!r}), so who moves cannot be said; nothing was "
            "changed; give this user Read and Describe on it"
        ) from None
    symbols = {record.key.decode(errors="replace") for record in newest if record.key}
    counts = {tp.partition: ends[tp] - firsts[tp] for tp in there}
    return widening_of(ticks.name, (before, ticks.partitions), symbols, counts, window_bars)
