"""What the worker does with each batch, and how it reports its health."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from stream_app.errors import StreamAppError
from stream_app.kafka.topic_check import Topics
from stream_app.messages.schemas import Bar
from stream_app.messages.trace import traces_of
from stream_app.ops import metrics
from stream_app.ops.log_fields import log_fields
from stream_app.prediction.pipeline import Answer, PartitionPipeline
from stream_app.recovery.log_access import LogAccess, Readers
from stream_app.registry.versions import Versions
from stream_app.settings import Settings
from stream_app.worker.champions import Champions
from stream_app.worker.consumer_actions import ConsumerActions
from stream_app.worker.counts import count_batch, count_delays, shown_counts
from stream_app.worker.lag import LagWatch
from stream_app.worker.ledger import Batch
from stream_app.worker.misplaced import MisplacedLog
from stream_app.worker.notice_log import NoticeLog
from stream_app.worker.partitions import Partitions
from stream_app.worker.publisher import Publisher
from stream_app.worker.rebalance import RebalanceTimer
from stream_app.worker.score_watch import ScoreWatch
from stream_app.worker.serving_models import ServingModels
from stream_app.worker.spans import Spans

logger = logging.getLogger(__name__)

HAND_OVER_S: Final = 1.0
"""At most, while the whole group waits."""


class TickService:
    """Answers the ticks of one worker. Lives in the event loop.

    No method is thread-safe but the two that the watchdog asks: `signs_of_life` and `is_busy`.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        topics: Topics,
        client_settings: dict[str, Any],
        versions: Versions,
        champions: Champions,
        publisher: Publisher,
        spans: Spans,
        consumer: ConsumerActions,
    ) -> None:
        self._ticks = topics.ticks.name
        self._publisher = publisher
        self._spans = spans
        self._champions = champions
        self.partitions = Partitions(
            LogAccess(
                settings=settings,
                topics=topics,
                readers=Readers(client_settings),
                on_progress=self._note_step,
            ),
            consumer=consumer,
            load_models=ServingModels(
                versions=versions,
                named=champions.standing,
                before=champions.before,
                on_progress=self._note_step,
            ).load,
            have_models=champions.have_models,
            publish_bars=self._publish_bars,
            on_restored=champions.look_again,
            on_settled=self._note_settled,
            fail=self.fail,
        )
        self.lag_watch = LagWatch(
            client_settings,
            group=settings.consumer_group,
            topic=self._ticks,
            positions=self.partitions.positions,
            note_partitions=self.partitions.places.note_count,
        )
        self._steps = 0
        self._is_closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._published = asyncio.Event()
        """Not set while a batch has been computed and its answers are on their way."""
        self._published.set()
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        """Resolved with the error after which this process must not continue."""
        self.rebalance = RebalanceTimer()
        self._notices = NoticeLog()
        self._scores = ScoreWatch(settings.metrics_symbols)
        self._misplaced = MisplacedLog(lambda: self.partitions.places.count)
        metrics.READY.set_function(lambda: float(self.is_ready))
        metrics.SYMBOLS.set_function(lambda: len(self.partitions.symbols()))
        metrics.SYMBOLS_TRAINED.set_function(self._trained)

    @property
    def signs_of_life(self) -> int:
        """Grows with every batch answered, attempt to publish, and step of a restore."""
        return self._steps + self._publisher.attempts

    @property
    def is_busy(self) -> bool:
        """Whether there is something to do.

        A batch is in hand, a partition is being restored, or ticks were waiting at the last look;
        but not while the broker was away at that look: then waiting is all there is to do.
        """
        return not self.lag_watch.is_broker_away and (
            not self._idle.is_set() or self.partitions.is_restoring or self.lag_watch.own > 0
        )

    @property
    def is_ready(self) -> bool:
        """Whether all partitions are restored, and the worker neither failed nor is ending."""
        return self.partitions.is_ready and not self._is_closing and not self.failed.done()

    def _note_step(self) -> None:
        self._steps += 1

    def _note_settled(self) -> None:
        """All partitions that this worker was given are restored."""
        self.rebalance.end()
        symbols = {item.symbol for item in self.partitions.symbols().values()}
        self._scores.keep(symbols)
        self._notices.keep(symbols)
        self._misplaced.keep(symbols)

    def _trained(self) -> int:
        """How many symbols trained models serve."""
        return sum(item.models.is_trained for item in self.partitions.symbols().values())

    def fail(self, error: BaseException) -> None:
        """End the process by `failed`: going on would answer from a state that lacks ticks."""
        if not self.failed.done():
            # What a user can fix is logged in one line; anything else needs a traceback.
            trace = None if isinstance(error, StreamAppError) else error
            logger.error("the worker ends: %s: %s", type(error).__name__, error, exc_info=trace)
            self.failed.set_result(error)

    async def answer(self, batch: Batch) -> None:
        """Answer a batch: returns once all that follows from it is acknowledged.

        Called by the ticks agent, one batch at a time. An error that is not the input's fault
        ends the process through `fail`, with the batch not committed.
        """
        if batch.is_void or self._is_closing or self.failed.done():
            return
        self._idle.clear()
        try:
            with log_fields(partition=batch.tp.partition):
                await self._answer(batch)
        except Exception as error:  # noqa: BLE001 - any other way out loses the batch in silence
            self.fail(error)
        finally:
            self._idle.set()

    async def _answer(self, batch: Batch) -> None:
        pipeline = await self.partitions.pipeline(batch)
        if pipeline is None or self.failed.done():
            return
        started = time.perf_counter()
        work = pipeline.sort(batch.records)
        if not self.partitions.may_answer(pipeline, batch, work):
            return
        traces = traces_of(batch.records)
        self._published.clear()
        try:
            with self._spans.batch(batch, traces):
                answer = pipeline.answer(work)
                computed = time.perf_counter()
                metrics.BATCH_SECONDS.observe(computed - started)
                await self._publisher.publish(answer, batch.tp.partition, traces)
                metrics.PUBLISH_SECONDS.observe(time.perf_counter() - computed)
            batch.is_answered = True
            self.partitions.note_answered(batch)
        finally:
            self._published.set()
        self._note_step()
        count_batch(len(batch.records), answer)
        count_delays(batch.records, until_s=time.time())
        self._misplaced.note(answer, batch.tp.partition)
        self._notices.note(answer.notices)
        self._scores.note(answer.scores)

    async def _publish_bars(self, bars: Sequence[Bar], partition: int) -> None:
        await self._publisher.publish(Answer(bars=list(bars)), partition)

    def on_revoked(self) -> None:
        """The group changes. Returns at once."""
        self.rebalance.begin()
        self.partitions.on_revoked()

    async def until_published(self) -> None:
        """Wait until all that has been computed is acknowledged. Called when the group changes."""
        await self._published.wait()

    async def hand_over_going(self) -> None:
        """As `hand_over`, for partitions that the change of the group is about to take away.

        Called when the group changes, once all that is answered is committed. All workers wait for
        it, so it is skipped if the broker is slow: what is not covered is replayed.
        """
        if self._is_closing or self.failed.done():
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hand_over_all(self.partitions.going()), HAND_OVER_S)

    async def close(self) -> None:
        """Wait until the batch in hand is answered, and answer no other.

        Batches that were fetched but not begun stay unanswered: after the last commit an answer
        would be repeated by the next owner.
        """
        self._is_closing = True
        await self._idle.wait()
        self.partitions.bring_nothing()

    async def hand_over(self) -> None:
        """Publish the symbols' states as they are now; `close` and the commit come before.

        The next owner then has no ticks to replay. Waits on the broker.
        """
        await self._hand_over_all(self.partitions.restored())

    async def _hand_over_all(self, pipelines: Mapping[int, PartitionPipeline]) -> None:
        await asyncio.gather(*(self._hand_over(*item) for item in pipelines.items()))

    async def _hand_over(self, number: int, pipeline: PartitionPipeline) -> None:
        position = pipeline.position
        states, moves = pipeline.handover(self._ticks)
        await self._publish_bars(states, number)
        # Not before: where this worker keeps the partition after all, its floor must stay right.
        pipeline.note_handed_over(position)
        await self._publish_bars(moves, number)

    def status(self) -> dict[str, Any]:
        """What `/status` shows."""
        symbols = self.partitions.symbols()
        return {
            **shown_counts(),
            "lag": self.lag_watch.lag,
            "unread_partitions": self.lag_watch.unread_partitions,
            **self.partitions.status(),
            "symbols": {
                name: {
                    "bars": len(item.window),
                    "version": item.models.version,
                    "pinned": self._champions.is_pinned(name),
                }
                for name, item in sorted(symbols.items())
            },
        }
