"""Writes versions from the disk to the object store, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from stream_app.errors import ArtifactError, StoreError
from stream_app.ops import metrics
from stream_app.registry.object_store import ObjectStore
from stream_app.registry.store import KEPT_VERSIONS, Registry

logger = logging.getLogger(__name__)

LONGEST_WAIT_S: Final = 30.0
"""Between two tries; so long at most a version waits once the store is back."""


class Uploads:
    """One version after the other. Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        disk: Registry,
        store: ObjectStore,
        *,
        needed: Callable[[str], set[str]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Have nothing to write yet.

        Args:
            disk: has the versions.
            store: is to have them.
            needed: from a state's name to the versions that must stay in the store.
            sleep: waits so many seconds.
        """
        self._disk = disk
        self._store = store
        self._needed = needed
        self._sleep = sleep
        self._waiting: dict[tuple[str, str], asyncio.Future[None]] = {}
        """By state and version, done when it is written or given up; the oldest first."""
        self._added = asyncio.Event()
        self._trouble = ""
        metrics.UPLOADS_WAITING.set_function(lambda: len(self._waiting))

    @property
    def waiting(self) -> int:
        """How many versions are not in the store yet."""
        return len(self._waiting)

    def add(self, name: str, version: str) -> asyncio.Future[None]:
        """Have a version written. Returns at once; the result is done when it is, or given up."""
        done = self._waiting.get((name, version))
        if done is None:
            done = self._waiting[name, version] = asyncio.get_running_loop().create_future()
            self._added.set()
        return done

    async def run(self) -> None:
        """Write what is added. Never ends by itself; waits for a store that is away."""
        while True:
            while self._waiting:
                key = next(iter(self._waiting))
                await self._upload(*key)
                self._waiting.pop(key).set_result(None)
            self._added.clear()
            await self._added.wait()

    async def _upload(self, name: str, version: str) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StoreError),
            wait=wait_random_exponential(max=LONGEST_WAIT_S),
            before_sleep=self._tell,
            sleep=self._sleep,
        )
        try:
            files = await asyncio.to_thread(self._disk.files, name, version)
            await retrying(self._attempt, name, version, files)
        except ArtifactError as error:
            logger.warning("%s: version %s is not in the store: %s", name, version, error)

    async def _attempt(self, name: str, version: str, files: Mapping[str, bytes]) -> None:
        if not await self._store.has(name, version):
            await self._store.put(name, version, files)
            logger.info("%s: version %s is in the store", name, version)
            await self._prune(name, version)
        if self._trouble:
            logger.info("%s answers again", self._store.url)
            self._trouble = ""

    async def _prune(self, name: str, written: str) -> None:
        # What was just written serves soon, though a clock that went back makes it look old.
        keep = {written, *self._needed(name)}
        try:
            await self._store.prune(name, newest=KEPT_VERSIONS, keep=keep)
        except StoreError as error:
            logger.warning("%s: old versions stay in the store for now: %s", name, error)

    def _tell(self, state: RetryCallState) -> None:
        assert state.outcome is not None  # noqa: S101 - tenacity calls this after a failure only
        said = str(state.outcome.exception())
        kind = said.rsplit(": ", 1)[-1]
        if kind != self._trouble:
            logger.warning(
                "%s; models serve from this disk, %d versions wait; trying again until it answers",
                said,
                len(self._waiting),
            )
        self._trouble = kind
