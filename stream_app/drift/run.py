"""Follows the scores topic and publishes the alarms of drift, each once."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from stream_app.clock import Clock, SystemClock
from stream_app.contracts.schema_registry import schema_headers
from stream_app.drift.watch import DriftWatch
from stream_app.kafka.connection import FOLLOW_MAX_WAIT_MS, client_settings, wait_until_reachable
from stream_app.kafka.group import open_group
from stream_app.kafka.producer import connected_producer
from stream_app.kafka.reader import open_reader, read_new, read_range
from stream_app.kafka.retries import Outage
from stream_app.kafka.topic_check import Topics, load_topics, require_topics
from stream_app.messages.codec import decode_drift, decode_score, encode_drift
from stream_app.messages.records import Headers
from stream_app.messages.schemas import Drift, Source
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

COMMIT_EVERY_S: Final = 1.0
_REACH_TIMEOUT_S: Final = 15.0


def group_of(settings: Settings) -> str:
    """The consumer group whose commits say up to where alarms have been published."""
    return f"{settings.consumer_group}-drift"


class DriftFollower:
    """Scores in from Kafka, alarms out to Kafka.

    The detectors' state is nowhere but in memory: it is a function of the scores that the topic
    holds, and each start goes through all of them. Only alarms at scores that are not committed yet
    are published. A commit follows after the alarms are acknowledged; what was published after the
    last commit is known by its id, which the drift topic holds.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Topics,
        producer: AIOKafkaProducer,
        clock: Clock,
        headers: Headers,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._client_settings = client_settings(settings)
        self._group = group_of(settings)
        self._producer = producer
        self._clock = clock
        self._headers = headers

    async def run(self) -> None:
        """Follow until cancelled; after an error begin again, as after a start.

        Raises:
            BrokerError: it refuses, such as a right that is missing.
        """
        outage = Outage("drift", logger)
        while True:
            try:
                async with open_reader(
                    {**self._client_settings, "group_id": self._group},
                    max_wait_ms=FOLLOW_MAX_WAIT_MS,
                ) as consumer:
                    await self._follow(consumer)
            except (KafkaError, OSError) as error:
                await outage.wait(error)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        topic_id, begins = await self._begins()
        published = await self._published(consumer)
        watch = DriftWatch(self._settings.drift_false_alarm_days)
        logger.info("Drift: %d alarms are on %s", len(published), self._topics.drift.name)
        done: dict[TopicPartition, OffsetAndMetadata] = {}
        committed_s = self._clock.monotonic()
        async for record in read_new(consumer, self._topics.scores):
            found = _alarms(watch, record)
            if record.offset < begins[record.partition]:
                continue
            for alarm in found:
                if alarm.id not in published:
                    await self._publish(alarm)
            tp = TopicPartition(record.topic, record.partition)
            done[tp] = OffsetAndMetadata(record.offset + 1, topic_id)
            if self._clock.monotonic() >= committed_s + COMMIT_EVERY_S:
                await consumer.commit(done)
                committed_s = self._clock.monotonic()

    async def _begins(self) -> tuple[str, dict[int, int]]:
        """The id of the scores topic, and by partition the first score that is news.

        A commit that belongs to a topic of the same name that is gone counts as none.
        """
        name = self._topics.scores.name
        async with open_group(self._client_settings, group=self._group, topic=name) as view:
            known = await view.known_topic()
            places = await view.places(known, range(self._topics.scores.partitions))
        for place in places.values():
            if place.problem is not None:
                logger.warning("%s partition %d is another topic now", name, place.partition)
        return known.topic_id, {
            number: 0 if place.problem else place.start for number, place in places.items()
        }

    async def _published(self, consumer: AIOKafkaConsumer) -> set[str]:
        """The ids of the alarms that the topic holds."""
        tp = TopicPartition(self._topics.drift.name, 0)
        ids = set()
        async for record in read_range(consumer, tp, 0, None):
            try:
                ids.add(decode_drift(record.value or b"").id)
            except ValueError as error:
                logger.warning("%s offset %d: %s; left out", record.topic, record.offset, error)
        return ids

    async def _publish(self, alarm: Drift) -> None:
        """Return once it is acknowledged.

        Not tried again here: whether it was written although the answer was lost is seen from the
        topic, when all begins again.
        """
        name = self._topics.drift.name
        key = alarm.symbol.encode()
        await self._producer.send_and_wait(
            name, encode_drift(alarm), key=key, partition=0, headers=self._headers
        )
        logger.warning(
            "%s: %s have changed: %.3g times what is usual (%s)",
            alarm.symbol,
            alarm.input,
            alarm.ratio,
            alarm.detector,
        )


def _alarms(watch: DriftWatch, record: ConsumerRecord) -> list[Drift]:
    try:
        score = decode_score(record.value or b"")
    except ValueError as error:
        place = f"{record.topic} partition {record.partition} offset {record.offset}"
        logger.warning("%s: %s; left out", place, error)
        return []
    source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
    return watch.take(score, source)


async def run_drift(settings: Settings) -> None:
    """Follow until SIGTERM or SIGINT. Called by `stream-app drift`.

    Raises:
        BrokerError: no broker answers at the start, or refuses what it is asked.
        TopicError: the topics are missing or differ from topics.yaml.
        SchemaRegistryError: one is set, and does not answer or lacks the schema.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    topics = load_topics(settings.topics_file)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    await require_topics(topics, client_settings(settings))
    headers = await schema_headers(settings, [topics.drift])
    async with connected_producer(settings) as producer:
        follower = DriftFollower(
            settings, topics, producer, SystemClock(), headers.get(topics.drift.name, [])
        )
        following = asyncio.create_task(follower.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (following, stopping):
                task.cancel()
            await asyncio.gather(following, stopping, return_exceptions=True)
