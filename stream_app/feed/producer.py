"""Send ticks to a topic at a pace; every one is acknowledged by the broker, or it is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import aiokafka
from aiokafka.errors import KafkaError

from stream_app.errors import BrokerError, TopicError
from stream_app.feed.outbox import Outbox
from stream_app.feed.pace import Pace
from stream_app.kafka.producer import error_text
from stream_app.messages.records import Headers
from stream_app.messages.schemas import Tick
from stream_app.messages.tick_mapping import Encoder
from stream_app.messages.ticks import encode_tick

_LOOK_UP_S: Final = 0.2
"""Longest sleep, so that a stop is noticed soon."""


@dataclass(frozen=True, slots=True)
class FeedReport:
    """What was sent and acknowledged."""

    ticks: int
    symbols: tuple[str, ...]
    """In order of appearance."""
    first_ts: int | None
    """Event time of the first tick, epoch ms; None without ticks."""
    last_ts: int | None
    seconds: float
    """From the first tick taken to the last acknowledgement."""

    @property
    def ticks_per_second(self) -> float:
        """Rate over the whole feed."""
        return self.ticks / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As `feed --json` prints it."""
        return {
            "ticks": self.ticks,
            "symbols": list(self.symbols),
            "first_ts": self.first_ts,
            "last_ts": self.last_ts,
            "seconds": round(self.seconds, 3),
            "ticks_per_second": round(self.ticks_per_second, 1),
        }


async def produce(
    ticks: Iterable[Tick],
    *,
    producer: aiokafka.AIOKafkaProducer,
    topic: str,
    pace: Pace,
    on_progress: Callable[[int, int], None],
    stop: asyncio.Event | None = None,
    encode: Encoder = encode_tick,
    headers: Headers | None = None,
) -> FeedReport:
    """Send ticks, keyed by symbol, and wait until all are acknowledged.

    Not more than two batches a partition are in flight. The record's timestamp is the time of
    sending, so that retention and the check against future event times count from it.

    Args:
        ticks: any iterable, finite or not; it is taken from only as fast as ticks are sent.
        producer: started, with acks="all"; it stays open.
        topic: must exist; it is never created here, with the broker's default partitions.
        pace: when each tick is due.
        on_progress: called with the number of acknowledged ticks and the event time of the tick
            taken last, epoch ms; often, so it must be cheap.
        encode: makes a record's value of a tick.
        headers: what each record has.
        stop: once set, no more ticks are taken; what was taken is sent and acknowledged.

    Raises:
        TopicError: the broker has no such topic.
        BrokerError: the broker refused a tick, or did not acknowledge in time.
    """
    stopped = stop or asyncio.Event()
    outbox = Outbox(producer, topic, await topic_partitions(producer, topic), encode, headers or [])
    first_ts = last_ts = None
    began = pace.clock()
    try:
        for tick in ticks:
            wait = pace.due(tick.ts) - pace.clock()
            if wait > 0:
                await outbox.flush()
            while wait > 0 and not stopped.is_set():
                before = pace.clock()
                await pace.sleep(min(wait, _LOOK_UP_S))
                on_progress(outbox.acknowledged, tick.ts)
                wait -= pace.clock() - before
            if stopped.is_set():
                break
            first_ts = tick.ts if first_ts is None else first_ts
            last_ts = tick.ts
            if await outbox.add(tick):
                on_progress(outbox.acknowledged, tick.ts)
        await outbox.close()
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(
            f"topic {topic}: the broker took {outbox.acknowledged:,} ticks and then no more "
            f"({error_text(error)}); check that it runs at KAFKA_BOOTSTRAP_SERVERS, and feed again"
        ) from None
    report = FeedReport(
        ticks=outbox.acknowledged,
        symbols=outbox.symbols,
        first_ts=first_ts,
        last_ts=last_ts,
        seconds=pace.clock() - began,
    )
    if last_ts is not None:
        on_progress(report.ticks, last_ts)
    return report


async def topic_partitions(producer: aiokafka.AIOKafkaProducer, topic: str) -> list[int]:
    """The numbers of a topic's partitions. Waits on the broker.

    Raises:
        TopicError: the broker has no such topic.
        BrokerError: it does not answer.
    """
    # To ask for this topic by name would make a broker that creates topics create it.
    try:
        metadata = await producer.client.fetch_all_metadata()
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(
            f"topic {topic}: the broker does not list its topics ({error_text(error)}); check that "
            "it runs at KAFKA_BOOTSTRAP_SERVERS"
        ) from None
    partitions = metadata.partitions_for_topic(topic)
    if not partitions:
        raise TopicError(
            f"topic {topic}: not on the broker; looked for it before sending; create it with "
            "`stream-app topics apply`"
        )
    return sorted(partitions)
