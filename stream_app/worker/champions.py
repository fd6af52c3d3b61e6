"""Which versions serve: follows the champions topic, and puts its versions into service."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from stream_app.clock import Clock
from stream_app.errors import ArtifactError
from stream_app.kafka.champions import champion_of
from stream_app.kafka.reader import open_reader, read_range, read_through
from stream_app.kafka.retries import until_answered
from stream_app.kafka.topics import TopicSpec
from stream_app.messages.schemas import Champion
from stream_app.models.model_set import ModelSet
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.champion_log import ChampionLog
from stream_app.registry.versions import Versions
from stream_app.worker.fetches import Fetches, note_failure

logger = logging.getLogger(__name__)

PROMOTED: Final = "passed the gate"


class Champions:
    """Lives in the event loop; no method is thread-safe.

    There is one way to serve: a record on the topic, read back. So a retrain and an operator who
    write at the same moment are ordered by the log, in every worker and after every restart.
    """

    def __init__(
        self,
        *,
        topic: TopicSpec,
        client_settings: dict[str, Any],
        versions: Versions,
        symbols: Callable[[], Mapping[str, SymbolPipeline]],
        publish: Callable[[Champion], Awaitable[None]],
        clock: Clock,
        worker: str,
    ) -> None:
        self._tp = TopicPartition(topic.name, 0)
        self._client_settings = client_settings
        self._versions = versions
        self._symbols = symbols
        self._publish = publish
        self._clock = clock
        self._worker = worker
        self._log = ChampionLog()
        self._position = 0
        """The offset after the last record read."""
        self._loaded: dict[str, ModelSet] = {}
        """By state, the models that this worker has just written and not read of yet."""
        self._read: dict[tuple[str, str], asyncio.Future[bool]] = {}
        """By state and version, done once the record that names it is read: whether it counts.
        Symbols with the same prices can have the same version."""
        self._serving = asyncio.Lock()
        self._looks: set[asyncio.Task[None]] = set()
        self._fetches = Fetches(
            versions,
            wanted=self._version_here,
            let_serve=self._let_serve,
            monotonic=clock.monotonic,
        )

    def standing(self, name: str) -> Champion | None:
        """The topic's record of a symbol; None without one."""
        return self._log.standing(name)

    def is_pinned(self, name: str) -> bool:
        """Whether retrains leave a symbol's version in place."""
        standing = self._log.standing(name)
        return standing is not None and standing.pinned

    def needed(self, name: str) -> set[str]:
        """The versions of a symbol that must stay."""
        return self._log.needed(name)

    def all_needed(self) -> list[tuple[str, str]]:
        """State and version of all that must stay."""
        return [(name, each) for name in self._log.symbols for each in self._log.needed(name)]

    def before(self, name: str) -> str | None:
        """The version of a symbol that served before the one that serves; None for none."""
        return self._log.before(name)

    async def promote(self, name: str, models: ModelSet) -> bool:
        """Name new models champion; returns once that is read back from the topic.

        Args:
            name: of the state.
            models: of a version that is in the registry.

        Returns:
            Whether they serve: not where the symbol was pinned at the same moment.
        """
        read: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._read[name, models.version] = read
        self._loaded[name] = models
        try:
            await self._publish(
                Champion(
                    symbol=name,
                    version=models.version,
                    since=self._clock.now().isoformat(timespec="milliseconds"),
                    by="retrain",
                    why=PROMOTED,
                    pinned=False,
                    worker=self._worker,
                )
            )
            return await read
        finally:
            self._read.pop((name, models.version), None)
            self._loaded.pop(name, None)

    async def start(self) -> None:
        """Read the whole topic. Waits for the broker; before the first partition is restored."""
        await until_answered(self._read_all, what="the champions cannot be read", logger=logger)

    async def _read_all(self) -> None:
        async with open_reader(self._client_settings) as consumer:
            async for record in read_range(consumer, self._tp, self._position, None):
                self._take(record)

    async def run(self) -> None:
        """Follow the topic. Never ends by itself; waits through an outage."""
        records = read_through(
            self._client_settings,
            self._tp,
            self._position,
            what="the champions topic",
            logger=logger,
        )
        async with contextlib.aclosing(records):
            async for record in records:
                await self._follow(record)

    async def _follow(self, record: ConsumerRecord) -> None:
        champion = self._take(record)
        if champion is None:
            return
        counts = self._log.standing(champion.symbol) == champion
        if counts:
            await self._let_serve(champion.symbol)
        elif champion.worker == self._worker and (pin := self._log.standing(champion.symbol)):
            # Said once more, the pin outlives the compaction of the topic.
            await self._publish(replace(pin, worker=self._worker))
        read = self._read.get((champion.symbol, champion.version))
        if read is not None and not read.done():
            read.set_result(counts)

    def _take(self, record: ConsumerRecord) -> Champion | None:
        self._position = record.offset + 1
        champion = champion_of(record)
        if champion is not None and not self._log.take(champion):
            logger.warning(
                "%s: pinned, so %s does not serve",
                champion.symbol,
                champion.version,
                extra={"symbol": champion.symbol, "version": champion.version},
            )
        return champion

    async def _let_serve(self, name: str) -> None:
        """Let a symbol of this worker be served by the version that the topic names.

        Its next batch adopts it. A version that cannot be loaded leaves what serves in place.
        """
        async with self._serving:
            champion, pipeline = self._log.standing(name), self._symbols().get(name)
            if champion is None or pipeline is None or pipeline.models.version == champion.version:
                return
            about = {"symbol": name, "version": champion.version}
            models = self._loaded.get(name)
            if models is None or models.version != champion.version:
                try:
                    models = await self._versions.on_disk(name, champion.version)
                except ArtifactError as error:
                    if self._versions.has_store:
                        self._fetches.start(name)
                    else:
                        self._fetches.give_up(name, champion.version)
                        logger.warning(
                            "%s: the version to serve is unavailable: %s", name, error, extra=about
                        )
                    return
            # The partition may have been restored meanwhile: the pipeline that is here now serves.
            current = self._symbols().get(name)
            if current is not None:
                current.models = models
                logger.info("%s: served by %s (%s)", name, models.version, champion.by, extra=about)

    def _version_here(self, name: str) -> str | None:
        """The version that is to serve a symbol of this worker; None where there is none."""
        champion = self._log.standing(name)
        return champion.version if champion is not None and name in self._symbols() else None

    def have_models(self, pipelines: Iterable[SymbolPipeline]) -> bool:
        """Whether symbols that this worker stands by with have models, as far as any can be had.

        Has those that are missing brought. One version earlier than the named one is enough, or
        each retrain would take a partition from those that can be taken over.
        """
        missing = [
            pipeline.name
            for pipeline in pipelines
            if not pipeline.models.is_trained
            and (champion := self._log.standing(pipeline.name)) is not None
            and self._fetches.may_bring(pipeline.name, champion.version)
        ]
        if not self._looks and not all(map(self._fetches.is_running, missing)):
            self.look_again()
        return not missing

    def look_again(self) -> None:
        """See to it that all symbols are served as the topic says. Returns at once.

        Called when a partition is restored, for it may have missed a record meanwhile.
        """
        task = asyncio.create_task(self._let_all_serve())
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        task.add_done_callback(note_failure)

    async def _let_all_serve(self) -> None:
        # Most are already served by it: checking all for each of them would be quadratic.
        for name, pipeline in list(self._symbols().items()):
            champion = self._log.standing(name)
            if champion is not None and champion.version != pipeline.models.version:
                await self._let_serve(name)
