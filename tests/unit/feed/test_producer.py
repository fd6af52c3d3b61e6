from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import aiokafka
import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from stream_app.errors import BrokerError, TopicError
from stream_app.feed import outbox
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import FeedReport, produce
from stream_app.feed.synthetic import synthetic_ticks
from stream_app.kafka import producer as module
from stream_app.kafka.producer import connected_producer
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import encode_tick
from stream_app.settings import load_settings

TOPIC = "ticks"
START = 1_640_995_200_000


class FakeProducer:
    """An aiokafka producer as far as `produce` needs one; keeps what it is sent."""

    def __init__(
        self, partitions: int = 4, *, topic: str = TOPIC, acknowledge: bool = True
    ) -> None:
        self.client = self
        self.cluster = self
        self.topic = topic
        self.partitions = set(range(partitions))
        self.sent: list[tuple[int, list[tuple[bytes, bytes]]]] = []
        self.acknowledge = acknowledge
        self.failure: Exception | None = None
        self.on_send: Callable[[], object] = lambda: None

    async def fetch_all_metadata(self) -> FakeProducer:
        return self

    def add_topic(self, topic: str) -> None:
        assert topic == self.topic

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.partitions if topic == self.topic else None

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(4096, 0)

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> asyncio.Future[Any]:
        assert topic == self.topic
        assert batch.closed()
        await asyncio.sleep(0)
        records = DefaultRecordBatch(bytes(batch._build()))
        self.sent.append((partition, [(record.key, record.value) for record in records]))
        self.on_send()
        future = asyncio.get_running_loop().create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
        elif self.acknowledge:
            future.set_result(None)
        return future

    @property
    def records(self) -> list[tuple[bytes, bytes]]:
        return [record for _, records in self.sent for record in records]


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def synthetic(count: int | None = None, *symbols: str) -> Iterator[Tick]:
    ticks = synthetic_ticks(
        symbols=symbols or ("A", "B", "C"), seed=7, start_ms=START, interval_ms=3000.0
    )
    return itertools.islice(ticks, count)


async def fed(
    producer: FakeProducer, ticks: Any, pace: Pace | None = None, **given: Any
) -> FeedReport:
    given.setdefault("on_progress", lambda acknowledged, ts: None)
    given.setdefault("topic", TOPIC)
    # The fake has what of the producer is used.
    typed: aiokafka.AIOKafkaProducer = producer
    return await produce(ticks, producer=typed, pace=pace or Pace(Speed()), **given)


async def test_every_tick_is_sent_once_keyed_and_in_order_of_its_partition() -> None:
    producer = FakeProducer()
    ticks = list(synthetic(1000))

    report = await fed(producer, ticks)

    for partition in range(4):
        expected = [
            (tick.symbol.encode(), encode_tick(tick))
            for tick in ticks
            if DefaultPartitioner()(tick.symbol.encode(), [0, 1, 2, 3], []) == partition
        ]
        assert [
            record for number, records in producer.sent for record in records if number == partition
        ] == expected
    assert report.ticks == len(producer.records) == 1000
    assert report.symbols == ("A", "B", "C")
    assert (report.first_ts, report.last_ts) == (ticks[0].ts, ticks[-1].ts)


async def test_no_ticks_give_an_empty_report() -> None:
    report = await fed(FakeProducer(), [])

    assert report.as_dict() == {
        "ticks": 0,
        "symbols": [],
        "first_ts": None,
        "last_ts": None,
        "seconds": pytest.approx(0, abs=1),
        "ticks_per_second": 0.0,
    }


async def test_a_paced_tick_is_sent_before_the_wait_for_the_next() -> None:
    producer, time = FakeProducer(), FakeTime()
    sent_at: list[float] = []

    def note(acknowledged: int, ts: int) -> None:
        sent_at.append(acknowledged)

    pace = Pace(Speed(factor=10.0), clock=time.clock, sleep=time.sleep)
    report = await fed(producer, synthetic(4, "A"), pace, on_progress=note)

    assert [len(records) for _, records in producer.sent] == [1, 1, 1, 1]
    assert sent_at == [1, 1, 2, 2, 3, 3, 4]  # each wait of 0.3 s is slept in two parts
    assert max(time.slept) <= 0.2
    assert report.seconds == pytest.approx(0.9)
    assert report.ticks_per_second == pytest.approx(4 / 0.9)


async def test_progress_counts_only_what_is_acknowledged() -> None:
    counts: list[int] = []
    report = await fed(FakeProducer(), synthetic(2000), on_progress=lambda n, _: counts.append(n))

    assert counts == sorted(counts)
    assert counts[-1] == report.ticks == 2000
    assert 1 < len(counts) < 200  # by the batch, not by the tick


async def test_a_stop_ends_a_feed_without_end_and_sends_what_was_taken() -> None:
    producer, time, stop = FakeProducer(), FakeTime(), asyncio.Event()

    def note(acknowledged: int, ts: int) -> None:
        if acknowledged >= 10:
            stop.set()

    pace = Pace(Speed(per_second=2.0), clock=time.clock, sleep=time.sleep)
    report = await fed(producer, synthetic(), pace, on_progress=note, stop=stop)

    assert report.ticks == len(producer.records) == 10


async def test_a_topic_that_is_not_there_is_not_created() -> None:
    with pytest.raises(TopicError, match=r"^topic other: not on the broker; .*topics apply`$"):
        await fed(FakeProducer(), synthetic(1), topic="other")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (KafkaTimeoutError(), "KafkaTimeoutError"),
        (KafkaConnectionError("it is\ngone"), "it is gone"),
    ],
)
async def test_a_refused_batch_is_an_error_in_one_line(failure: Exception, said: str) -> None:
    producer = FakeProducer()
    producer.failure = failure

    with pytest.raises(BrokerError) as refusal:
        await fed(producer, synthetic(100_000))

    message = str(refusal.value)
    assert message.startswith("topic ticks: the broker took 0 ticks and then no more (")
    assert f"{said})" in message
    assert "KAFKA_BOOTSTRAP_SERVERS" in message
    assert "\n" not in message
    assert len(producer.records) < 1000  # it did not go on


async def test_a_failure_at_the_last_tick_is_an_error_too() -> None:
    producer = FakeProducer()
    producer.failure = UnknownTopicOrPartitionError()

    with pytest.raises(BrokerError, match="UnknownTopicOrPartitionError"):
        await fed(producer, synthetic(1))


async def test_silence_of_the_broker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_ACK_TIMEOUT_S", 0.01)

    with pytest.raises(BrokerError, match=r"took 0 ticks .*no acknowledgement for 0\.01 s"):
        await fed(FakeProducer(acknowledge=False), synthetic(3))


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_broker_that_is_not_there_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, idempotent: bool
) -> None:
    monkeypatch.setattr(module, "_CONNECT_TIMEOUT_S", 0.3)
    settings = load_settings(
        kafka_bootstrap_servers="127.0.0.1:1", kafka_idempotent_producer=idempotent
    )

    with pytest.raises(BrokerError) as refusal:
        async with connected_producer(settings):
            pass

    assert "127.0.0.1:1" in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_new_partitions_are_used_and_forgotten_ones_are_not_left() -> None:
    producer, time = FakeProducer(), FakeTime()
    pace = Pace(Speed(per_second=10.0), clock=time.clock, sleep=time.sleep)
    sizes = {30: 7, 60: 4, 90: 0}  # at last a broker that lags behind, and one that knows nothing

    def note(acknowledged: int, ts: int) -> None:
        if acknowledged in sizes:
            producer.partitions = set(range(sizes[acknowledged]))

    report = await fed(producer, synthetic(120), pace, on_progress=note)

    places = [
        (partition, records[0][0]) for partition, records in producer.sent if len(records) == 1
    ]
    assert report.ticks == len(places) == 120
    assert report.symbols == ("A", "B", "C")
    for count, part in ((4, places[:20]), (7, places[-60:])):
        for partition, key in part:
            assert partition == DefaultPartitioner()(key, list(range(count)), [])
