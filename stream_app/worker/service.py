"""What the worker does with each batch, and how it says that it is well."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream_app.dead_letters.flood import FloodAlarm
from stream_app.kafka.reader import open_reader
from stream_app.kafka.topic_check import Topics
from stream_app.ops import metrics
from stream_app.prediction.pipeline import Answer
from stream_app.registry.store import Registry
from stream_app.settings import Settings
from stream_app.worker.ledger import Batch
from stream_app.worker.notice_log import NoticeLog
from stream_app.worker.partitions import Partitions
from stream_app.worker.publisher import Publisher

logger = logging.getLogger(__name__)

LAG_EVERY_S: Final = 2.0
LAG_TIMEOUT_S: Final = 5.0


class TickService:
    """Answers the ticks of one worker. Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        *,
        settings: Settings,
        topics: Topics,
        client_settings: dict[str, Any],
        registry: Registry,
        publisher: Publisher,
    ) -> None:
        self._topics = topics
        self._client_settings = client_settings
        self._publisher = publisher
        self.partitions = Partitions(
            settings=settings,
            topics=topics,
            client_settings=client_settings,
            registry=registry,
            on_progress=self._live,
            fail=self.fail,
        )
        self._steps = 0
        self._closing = False
        self._lag = 0
        self._broker_away = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Resolved with the error after which this process must not go on."""
        self.counts = {"ticks_read": 0, "predictions": 0, "dead_letters": 0, "bars": 0}
        self.counts |= {"late": 0, "duplicates": 0, "ahead": 0, "jumps": 0}
        self._flood = FloodAlarm(time.monotonic)
        self._notices = NoticeLog()
        metrics.DEAD_LETTER_ALARM.set_function(self._flood.level)

    @property
    def signs_of_life(self) -> int:
        """Grows with every batch answered, attempt to publish, and step of a restore."""
        return self._steps + self._publisher.attempts

    @property
    def is_busy(self) -> bool:
        """Whether there is something to get on with.

        A batch is in hand, or ticks were waiting at the last look; but not while the broker was
        away at that look: then waiting is all there is to do.
        """
        return not self._broker_away and (not self._idle.is_set() or self._lag > 0)

    def _live(self) -> None:
        self._steps += 1

    def fail(self, error: BaseException) -> None:
        """End the process by `failed`: going on would answer from a state that lacks ticks."""
        if not self.failed.done():
            logger.error("the worker ends: %s: %s", type(error).__name__, error, exc_info=error)
            self.failed.set_result(error)

    async def answer(self, batch: Batch) -> None:
        """Answer a batch: returns once all that follows from it is acknowledged.

        Called by the ticks agent, one batch at a time. An error that is not the input's fault
        ends the process through `fail`, with the batch not committed.
        """
        if self._closing or self.failed.done():
            return
        self._idle.clear()
        try:
            pipeline = await self.partitions.pipeline(batch)
            if pipeline is None:
                return
            started = time.perf_counter()
            answer = pipeline.process(batch.records)
            metrics.BATCH_SECONDS.observe(time.perf_counter() - started)
            await self._publisher.publish(answer, batch.tp.partition)
            self._live()
            self._count(len(batch.records), answer)
            batch.answered()
        except Exception as error:  # noqa: BLE001 - any other way out loses the batch in silence
            self.fail(error)
        finally:
            self._idle.set()

    def _count(self, records: int, answer: Answer) -> None:
        counts = self.counts
        counts["ticks_read"] += records
        counts["predictions"] += len(answer.predictions)
        counts["dead_letters"] += len(answer.dead_letters)
        counts["bars"] += len(answer.bars)
        counts["late"] += answer.late
        counts["duplicates"] += answer.duplicates
        counts["ahead"] += answer.ahead
        counts["jumps"] += answer.jumps
        metrics.TICKS_READ.inc(records)
        metrics.PREDICTIONS.inc(len(answer.predictions))
        metrics.DEGRADED.inc(sum(bool(item.degraded) for item in answer.predictions))
        metrics.BARS.inc(len(answer.bars))
        metrics.LATE.inc(answer.late)
        metrics.DUPLICATES.inc(answer.duplicates)
        metrics.AHEAD.inc(answer.ahead)
        metrics.JUMPS.inc(answer.jumps)
        reasons = Counter(letter.rejection.reason for letter in answer.dead_letters)
        for reason, count in reasons.items():
            metrics.DEAD_LETTERS.labels(reason).inc(count)
        self._flood.note(records, len(answer.dead_letters))
        self._notices.note(answer.notices)

    async def watch_lag(self) -> None:
        """Keep the lag up to date, by a connection of its own. Runs until cancelled."""
        async with open_reader(self._client_settings) as consumer:
            while True:
                positions = {
                    TopicPartition(self._topics.ticks.name, number): position
                    for number, position in self.partitions.positions().items()
                }
                try:
                    async with asyncio.timeout(LAG_TIMEOUT_S):
                        ends = await consumer.end_offsets(list(positions)) if positions else {}
                    self._lag = sum(max(0, ends[tp] - at) for tp, at in positions.items())
                    self._note_broker(away=False)
                except (KafkaError, TimeoutError):
                    self._note_broker(away=True)
                metrics.LAG.set(self._lag)
                await asyncio.sleep(LAG_EVERY_S)

    def _note_broker(self, *, away: bool) -> None:
        if away and not self._broker_away:
            logger.warning("the broker does not answer; waiting for it, nothing is lost meanwhile")
        elif self._broker_away and not away:
            logger.info("the broker answers again")
        self._broker_away = away

    async def close(self) -> None:
        """Wait until the batch in hand is answered, and answer no other.

        Batches that were fetched but not begun stay unanswered: after the last commit an answer
        would be given again by whoever goes on.
        """
        self._closing = True
        await self._idle.wait()

    def status(self) -> dict[str, Any]:
        """What `/status` shows."""
        symbols = self.partitions.symbols()
        trained = sum(len(item.models.members) > 1 for item in symbols.values())
        metrics.SYMBOLS_TRAINED.set(trained)
        return {
            **self.counts,
            "lag": self._lag,
            **self.partitions.status(),
            "symbols": {
                name: {"bars": len(item.window), "version": item.models.version}
                for name, item in sorted(symbols.items())
            },
        }
