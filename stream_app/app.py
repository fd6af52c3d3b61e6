"""The composition root: builds the worker from its parts, runs it, and ends it in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from faust.types import TP

from stream_app.agents.retrain import add_retrain_timer
from stream_app.agents.ticks import add_ticks_agent
from stream_app.clock import SystemClock
from stream_app.contracts.schema_registry import schema_headers
from stream_app.errors import StoreError, WorkerFault
from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.kafka.topic_check import load_topics, require_topics
from stream_app.models.catalog import import_loaders
from stream_app.ops import event_loop
from stream_app.ops.ending import ForcedEnd, Part, stop_in_order
from stream_app.ops.garbage import collect_garbage_rarely
from stream_app.ops.watchdog import Watchdog
from stream_app.registry.disk import require_writable
from stream_app.registry.store import Registry
from stream_app.registry.versions import Versions
from stream_app.settings import Settings
from stream_app.sharing.assignor import GroupAssignor
from stream_app.training.cycle import Retrainer
from stream_app.training.pool import TrainingPool
from stream_app.training.settings import RetrainSettings, model_settings
from stream_app.web.server import WebServer
from stream_app.worker.champions import Champions
from stream_app.worker.consumer_actions import ConsumerActions
from stream_app.worker.description import describe
from stream_app.worker.drift_alarms import DriftAlarms
from stream_app.worker.faust_app import build_faust_app
from stream_app.worker.publisher import Publisher
from stream_app.worker.service import TickService
from stream_app.worker.spans import made_spans
from stream_app.worker.transport import BatchConsumer

if TYPE_CHECKING:
    from stream_app.registry.object_store import ObjectStore
    from stream_app.registry.uploads import Uploads

logger = logging.getLogger(__name__)

REACH_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 8.0
FORCED_AFTER_S = 10.0
"""After the end has begun; what holds the process by then is left behind."""
LOOK_EVERY_S = 0.5


class Worker:
    """One worker process, from start to end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        describe(settings)
        self._topics = load_topics(settings.topics_file)
        connection = client_settings(settings)
        self._publisher = Publisher(
            self._topics, connection, idempotent=settings.kafka_idempotent_producer
        )
        self._spans = made_spans(settings)
        import_loaders()
        self._store: ObjectStore | None = None
        self._uploads: Uploads | None = None
        self._versions = versions = self._make_versions()
        worker, clock = f"{socket.gethostname()}-{os.getpid()}", SystemClock()
        self._champions = Champions(
            topic=self._topics.champions,
            client_settings=connection,
            versions=versions,
            symbols=lambda: self.service.partitions.followed_symbols(),  # noqa: PLW0108 - made below
            publish=self._publisher.publish_champion,
            clock=clock,
            worker=worker,
        )
        self.service = TickService(
            settings=settings,
            topics=self._topics,
            client_settings=connection,
            versions=versions,
            champions=self._champions,
            publisher=self._publisher,
            spans=self._spans,
            consumer=ConsumerActions(
                read_again=self._read_again,
                hold=lambda batch: self._consumer().hold(batch),
                release=lambda number: self._consumer().release(self._tp(number)),
                commit=self._commit,
                join_again=self._join_again,
            ),
        )
        self._pool = TrainingPool(settings.retrain_processes)
        self.retrainer = Retrainer(
            settings=RetrainSettings.of(settings),
            versions=versions,
            run_job=self._pool.run,
            judge=self._pool.judge,
            champions=self._champions,
            symbols=self.service.partitions.symbols,
            publish=self._publisher.publish_event,
            clock=clock,
            worker=worker,
            is_starting=lambda: self.service.partitions.is_starting,
        )
        self._alarms = DriftAlarms(
            topic=self._topics.drift,
            client_settings=connection,
            symbols=self.service.partitions.symbols,
            ask=self.retrainer.ask if settings.drift_retrain else None,
            newest_s=settings.drift_retrain_min_seconds,
        )
        self._web = WebServer(
            settings.web_host,
            settings.web_port,
            is_ready=lambda: self.service.is_ready,
            status=self.status,
        )
        self._watchdog = Watchdog(
            settings.watchdog_seconds,
            signs=lambda: self.service.signs_of_life,
            busy=lambda: self.service.is_busy,
        )
        self._watches: list[asyncio.Task[None]] = []
        """That end with the worker only."""
        self._forced_end = ForcedEnd(
            FORCED_AFTER_S,
            exit_code=lambda: WorkerFault.exit_code if self.service.failed.done() else 0,
        )
        self._app = build_faust_app(
            settings,
            self._topics,
            on_assigned=self._on_assigned,
            on_revoked=self.service.on_revoked,
            until_published=self.service.until_published,
            hand_over=self.service.hand_over_going,
            topic_id=lambda: self.service.partitions.topic_id,
            report=self.service.partitions.report,
        )
        add_ticks_agent(self._app, self._topics, self.service)
        add_retrain_timer(self._app, self.retrainer, self._pool.prioritise)

    def _make_versions(self) -> Versions:
        disk = Registry(self._settings.data_dir, model_settings(self._settings))
        if self._settings.registry_url is None:
            return Versions(disk)
        from stream_app.registry.object_store import ObjectStore
        from stream_app.registry.uploads import Uploads

        self._store = ObjectStore(self._settings.registry_url)
        self._uploads = Uploads(
            disk,
            self._store,
            needed=lambda name: self._champions.needed(name),  # noqa: PLW0108 - made later
        )
        return Versions(disk, self._store, self._uploads)

    async def _require_store(self) -> None:
        """Refuse a store that is set up wrongly; one that does not answer is only told of."""
        if self._store is not None:
            try:
                await self._store.require_writable()
            except StoreError as error:
                logger.warning("%s; the models on this disk serve until it answers", error)

    def _on_assigned(self, assigned: set[TP]) -> dict[TP, int]:
        name = self._topics.ticks.name
        kept = self.service.partitions.on_assigned(
            (tp.partition for tp in assigned if tp.topic == name),
            cast(GroupAssignor, self._app.assignor).share,
            generation=self._app.consumer_generation_id,
        )
        return {TP(name, number): offset for number, offset in kept.items()}

    def _read_again(self, partition: int) -> None:
        self._consumer().read_again(self._tp(partition))

    async def _join_again(self) -> None:
        await self._consumer().join_again()

    async def _commit(self, partition: int, offset: int) -> None:
        await self._consumer().commit_at(self._tp(partition), offset)

    def _consumer(self) -> BatchConsumer:
        return cast(BatchConsumer, self._app.consumer)

    def _tp(self, partition: int) -> TP:
        return TP(self._topics.ticks.name, partition)

    def status(self) -> dict[str, Any]:
        """What `/status` shows."""
        history = self.retrainer.training_history
        return {
            **self.service.status(),
            "waiting_seconds": self.retrainer.waiting_seconds(),
            "retrain_plan": self.retrainer.plan(),
            "last_retrain": history[-1] if history else None,
            "versions_waiting": self._uploads.waiting if self._uploads is not None else 0,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end in order: nothing taken stays unanswered.

        Raises:
            StreamAppError: it cannot start.
            WorkerFault: a fault after which it must not continue.
        """
        require_writable(self._settings.data_dir)
        await self._require_store()
        await wait_until_reachable(self._settings, REACH_TIMEOUT_S)
        await require_topics(self._topics, client_settings(self._settings))
        headers = await schema_headers(self._settings, self._publisher.written)
        await self._web.start()
        await self._publisher.start(headers)
        try:
            await self._champions.start()
            self._app.finalize()
            await self._app.start()
            self._watchdog.start()
            collect_garbage_rarely()
            self._watches = [
                asyncio.create_task(self.service.lag_watch.run(), name="the look at the lag"),
                asyncio.create_task(self._champions.run(), name="the champions"),
                asyncio.create_task(
                    self.service.partitions.standbys.run(), name="what it stands by for"
                ),
                asyncio.create_task(
                    self.service.partitions.keeper.run(), name="the copies on this disk"
                ),
                asyncio.create_task(event_loop.watch_delay(), name="the look at the event loop"),
                asyncio.create_task(self._alarms.run(), name="the alarms of drift"),
            ]
            if self._uploads is not None:
                self._versions.complete(self._champions.all_needed())
                self._watches.append(asyncio.create_task(self._uploads.run(), name="the uploads"))
            logger.info("Worker started on %s", self._settings.kafka_bootstrap_servers)
            await self._until(stop)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the end is in order
            self.service.fail(error)
        finally:
            await self._end()
        if self.service.failed.done():
            raise WorkerFault(f"the worker ended: {self.service.failed.result()}")

    async def _until(self, stop: asyncio.Event) -> None:
        stopped = asyncio.ensure_future(stop.wait())
        waits: set[asyncio.Future[Any]] = {stopped, self.service.failed, *self._watches}
        # Faust says that it has ended by a flag, which wakes nobody.
        while not (self._app.should_stop or stopped.done() or self.service.failed.done()):
            await asyncio.wait(waits, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for watch in self._watches:
                if watch.done():
                    watch.result()
                    raise RuntimeError(f"{watch.get_name()} has ended")
        stopped.cancel()
        if self._app.crash_reason is not None:
            self.service.fail(self._app.crash_reason)

    async def _end(self) -> None:
        logger.info("Worker is stopping")
        self._forced_end.arm()
        self._watchdog.stop()
        parts = [
            # Before the pool, or the end of its processes would be reported as a failed retrain.
            Part(name="the retrain cycle", stop=self.retrainer.stop),
            # Before the pool, whose end takes seconds: others answer from here on.
            Part(name="the batch in hand", stop=self._finish),
            Part(name="the training pool", stop=self._close_pool),
            Part(name="the restores", stop=self.service.partitions.close),
            Part(name="what the worker watches", stop=self._stop_watches),
            Part(name="the consumer", stop=self._app.stop),
            Part(name="the producer", stop=self._publisher.stop),
            Part(name="the spans", stop=self._spans.stop),
            Part(name="the web server", stop=self._web.stop),
        ]
        await stop_in_order(parts, within_s=STOP_TIMEOUT_S)
        logger.info("Worker stopped")

    async def _close_pool(self) -> None:
        self._pool.close()

    async def _finish(self) -> None:
        """Answer and commit what is in hand, publish the states, then leave the group.

        Not after a fault, for the state may be wrong.
        """
        if not self.service.failed.done():
            # The flow goes on until then: stopped, the consumer would seek back to its last
            # commit and forget what has been answered since.
            await self.service.close()
            consumer = self._consumer()
            await consumer.commit_answered()
            await self.service.hand_over()
            if cast(GroupAssignor, self._app.assignor).share.workers > 1:
                await consumer.leave()

    async def _stop_watches(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)


async def run_worker(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT. Called by `stream-app worker`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # One thread loads all models: freed ones of several threads stay in their arenas, 20 MiB more
    # after some retrains.
    loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="disk"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Worker(settings).run(stop)
