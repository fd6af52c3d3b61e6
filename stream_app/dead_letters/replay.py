"""Reads the dead letters back, and re-feeds them to the ticks topic once the cause is fixed.

A letter is the refused record byte for byte, in the same partition number, with what was wrong
in its headers; publisher.py writes them. A re-fed letter goes to the partition that it was
refused in, so it stays behind the ticks of its symbol that were there first, and carries
`replayed_from`: where among the dead letters it was.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from stream_app.dead_letters.letter import CUT, REPLAYED_FROM, Filter, Letter, read_letter
from stream_app.errors import BrokerError
from stream_app.kafka.connection import client_settings, end_offset, wait_until_reachable
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_range
from stream_app.kafka.topic_check import Topics, load_topics, require_topics
from stream_app.messages.schemas import Rejection
from stream_app.messages.tick_mapping import decoder_for
from stream_app.messages.trace import trace_headers
from stream_app.settings import Settings

_REACH_TIMEOUT_S: Final = 10.0
_ACK_TIMEOUT_S: Final = 60.0
"""An idempotent producer would try forever."""
_RUN: Final = 500
"""Letters that are sent together; none of them is above 800,000 bytes."""

Verdict = Literal["sendable", "cut", "foreign", "refused_again"]
VERDICTS: Final[dict[Verdict, str]] = {
    "sendable": "sendable",
    "cut": "cut when it was written, as it was too large: its original bytes are not here",
    "foreign": "without the headers that say which tick it was",
    "refused_again": "would be refused again with the settings as they are",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The last letters, and how many there are of each reason."""

    letters: list[Letter]
    """In the order in which they were written."""
    counts: dict[str, int]
    """By reason, the most frequent first; of all that the filter takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a replay would do: the letters up to where the topic ended when it was made."""

    filter: Filter
    ends: dict[int, int]
    """By partition, the offset after the last letter."""
    now_ms: int
    """What the event times are judged against."""
    counts: dict[Verdict, int]
    send_all: bool
    """Whether letters that would be refused again are sent too."""

    @property
    def to_send(self) -> int:
        """How many letters it sends."""
        again = self.counts["refused_again"] if self.send_all else 0
        return self.counts["sendable"] + again


class DeadLetters:
    """The dead-letter topic of a running system, read without joining a group."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: Settings, topics: Topics) -> None:
        self._consumer = consumer
        self._settings = settings
        self._topics = topics
        self._decode = decoder_for(settings.tick_mapping)
        self._max_future_ms = settings.max_future_seconds * 1000

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topics.dead_letters.name

    async def listing(self, wanted: Filter, last: int) -> Listing:
        """Go through the topic once; keeps no more than `last` letters of a partition."""
        counts: Counter[str] = Counter()
        kept: list[Letter] = []
        ends = await self.ends(wanted)
        for partition, end in ends.items():
            newest: deque[Letter] = deque(maxlen=last)
            async for letter in self._read(wanted, partition, end):
                counts[letter.reason] += 1
                newest.append(letter)
            kept = sorted([*kept, *newest], key=lambda item: (item.written_ms, item.offset))[-last:]
        return Listing(letters=kept, counts=dict(counts.most_common()))

    async def letter(self, partition: int, offset: int) -> Letter | None:
        """One letter, or None when there is none at that offset."""
        tp = TopicPartition(self.topic, partition)
        async for record in read_range(self._consumer, tp, offset, offset + 1):
            return read_letter(record)
        return None

    async def ends(self, wanted: Filter) -> dict[int, int]:
        """Where each partition that is meant ends now; one past the last offset that is meant."""
        ends: dict[int, int] = {}
        chosen = (
            range(self._topics.dead_letters.partitions)
            if wanted.partition is None
            else [wanted.partition]
        )
        for partition in chosen:
            tp = TopicPartition(self.topic, partition)
            self._consumer.assign([tp])
            end = await end_offset(self._consumer, tp)
            ends[partition] = end if wanted.last is None else min(end, wanted.last + 1)
        return ends

    async def plan(self, wanted: Filter, *, now_ms: int, send_all: bool = False) -> Plan:
        """Judge every letter that the filter takes with the settings as they are. Sends nothing.

        Args:
            wanted: which letters.
            now_ms: what the time of a re-fed record will be, epoch milliseconds.
            send_all: also send what would be refused again.
        """
        ends = await self.ends(wanted)
        counts: dict[Verdict, int] = dict.fromkeys(VERDICTS, 0)
        for partition, end in ends.items():
            async for letter in self._read(wanted, partition, end):
                counts[self.judge(letter, now_ms)] += 1
        return Plan(filter=wanted, ends=ends, now_ms=now_ms, counts=counts, send_all=send_all)

    def judge(self, letter: Letter, now_ms: int) -> Verdict:
        """Whether a letter can be re-fed, and whether that would be of use."""
        if letter.header(CUT) is not None:
            return "cut"
        source = letter.source
        ticks = self._topics.ticks
        if source is None or source.topic != ticks.name or source.partition >= ticks.partitions:
            return "foreign"
        decoded = self._decode(letter.value, letter.key, now_ms, self._max_future_ms)
        return "refused_again" if isinstance(decoded, Rejection) else "sendable"

    async def replay(self, plan: Plan) -> int:
        """Send what the plan says; returns how many once all of them are acknowledged.

        At least once: where it ends early, some of what is not counted may be on the topic too.
        Letters of one partition keep their order.

        Raises:
            BrokerError: the broker does not take them; it says how many it has taken.
        """
        acknowledged = 0
        async with connected_producer(self._settings) as producer:
            try:
                async for run in self._runs(plan):
                    await self._send(producer, run)
                    acknowledged += len(run)
            except (KafkaError, TimeoutError) as error:
                raise BrokerError(
                    f"topic {self._topics.ticks.name}: the broker took {acknowledged:,} letters "
                    f"and then no more ({type(error).__name__}); check that it runs at "
                    "KAFKA_BOOTSTRAP_SERVERS, and replay the rest with --from"
                ) from None
        return acknowledged

    async def _runs(self, plan: Plan) -> AsyncIterator[list[Letter]]:
        """The letters to send, in pieces of one partition of the ticks each."""
        sent = {"sendable", "refused_again"} if plan.send_all else {"sendable"}
        run: list[Letter] = []
        for partition, end in plan.ends.items():
            async for letter in self._read(plan.filter, partition, end):
                if self.judge(letter, plan.now_ms) not in sent:
                    continue
                if run and (len(run) == _RUN or _partition(run[0]) != _partition(letter)):
                    yield run
                    run = []
                run.append(letter)
        if run:
            yield run

    async def _send(self, producer: AIOKafkaProducer, run: list[Letter]) -> None:
        # Batches, for `send` takes no tombstone without a key.
        batches = [producer.create_batch()]
        for letter in run:
            name = f"{self.topic}-{letter.partition}-{letter.offset}"
            fields = {
                "key": letter.key,
                "value": letter.value,
                "timestamp": None,
                "headers": [(REPLAYED_FROM, name.encode()), *trace_headers(letter.headers)],
            }
            if batches[-1].append(**fields) is None:
                batches.append(producer.create_batch())
                batches[-1].append(**fields)  # whatever its size: it is the first
        partition = _partition(run[0])
        async with asyncio.timeout(_ACK_TIMEOUT_S):
            for batch in batches:
                await (
                    await producer.send_batch(batch, self._topics.ticks.name, partition=partition)
                )

    async def _read(self, wanted: Filter, partition: int, end: int) -> AsyncIterator[Letter]:
        tp = TopicPartition(self.topic, partition)
        async for record in read_range(self._consumer, tp, wanted.first, end):
            letter = read_letter(record)
            if wanted.takes(letter):
                yield letter


@asynccontextmanager
async def open_dead_letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    """Connect to the dead-letter topic of topics.yaml.

    Raises:
        BrokerError: no broker answers.
        TopicError: the topics are not there.
    """
    topics = load_topics(settings.topics_file)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    client = client_settings(settings)
    await require_topics(topics, client)
    async with open_reader(client) as consumer:
        yield DeadLetters(consumer, settings, topics)


def _partition(letter: Letter) -> int:
    assert letter.source is not None  # noqa: S101 - the judge lets no other through
    return letter.source.partition
