"""Brings the versions that are to serve from the object store, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from stream_app.errors import ArtifactError, NotThereError, StoreError
from stream_app.registry.versions import Versions

logger = logging.getLogger(__name__)

LONGEST_WAIT_S: Final = 60.0
"""Between two tries."""
GONE_AFTER_S: Final = 120.0
"""A store that has said for so long that it lacks a version is not waited for any more. Who wrote
the version on its disk tries each 30 s (`uploads.LONGEST_WAIT_S`) to write it to the store, too."""


class Fetches:
    """One for each symbol at most. Lives in the event loop; no method is thread-safe."""

    def __init__(
        self,
        versions: Versions,
        *,
        wanted: Callable[[str], str | None],
        let_serve: Callable[[str], Awaitable[None]],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Bring nothing yet.

        Args:
            versions: bring them to this disk.
            wanted: from a state's name to the version that is to serve it here; None for none.
            let_serve: called with a state's name once the version is on this disk.
            monotonic: a clock, in seconds.
            sleep: waits so many seconds.
        """
        self._versions = versions
        self._wanted = wanted
        self._let_serve = let_serve
        self._monotonic = monotonic
        self._sleep = sleep
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._given_up: dict[str, str] = {}
        """By state, a version that is damaged or gone."""
        self._absent: dict[str, tuple[str, float]] = {}
        """By state, a version that the store lacks, and since when."""

    def start(self, name: str) -> None:
        """Bring the version that is to serve, and let it serve. Returns at once.

        Another worker may still be writing it, and the store may be away: it is tried again until
        the version is there, the topic names another, or the symbol has left this worker.
        """
        running = self._tasks.get(name)
        if running is None or running.done():
            task = self._tasks[name] = asyncio.create_task(self._run(name))
            task.add_done_callback(partial(self._ended, name))

    def is_running(self, name: str) -> bool:
        """Whether a symbol's version is being brought."""
        return name in self._tasks

    def give_up(self, name: str, version: str) -> None:
        """A version is damaged or gone: do not wait for it."""
        self._given_up[name] = version

    def may_bring(self, name: str, version: str) -> bool:
        """Whether a version may come yet."""
        absent, since_s = self._absent.get(name, ("", 0.0))
        is_gone = absent == version and self._monotonic() - since_s > GONE_AFTER_S
        return not is_gone and self._given_up.get(name) != version

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        note_failure(task)

    async def _run(self, name: str) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StoreError),
            wait=wait_random_exponential(max=LONGEST_WAIT_S),
            before_sleep=partial(self._tell, name),
            sleep=self._sleep,
        )
        tried = ""
        # Another version may be named while one is brought.
        while (version := self._wanted(name)) is not None and version != tried:
            tried = version
            try:
                is_here: bool = await retrying(self._bring, name)
                if is_here:
                    await self._let_serve(name)
            except ArtifactError as error:
                logger.warning("%s: the version to serve is unavailable: %s", name, error)

    async def _bring(self, name: str) -> bool:
        """Whether the version to serve is on this disk now; not where no symbol here waits for it.

        Raises:
            ArtifactError: it is damaged, or gone.
            StoreError: the store does not answer, or does not have it yet.
        """
        version = self._wanted(name)
        if version is None:
            return False
        try:
            await self._versions.load(name, version)
        except ArtifactError:
            self.give_up(name, version)
            raise
        except NotThereError:
            if self._absent.get(name, ("",))[0] != version:
                self._absent[name] = version, self._monotonic()
            raise
        self._absent.pop(name, None)
        self._given_up.pop(name, None)
        return True

    @staticmethod
    def _tell(name: str, state: RetryCallState) -> None:
        if state.attempt_number == 1 and state.outcome is not None:
            error = state.outcome.exception()
            logger.warning("%s: the version to serve is unavailable yet: %s", name, error)


def note_failure(task: asyncio.Task[None]) -> None:
    """What serves keeps serving, whatever a task dies of; the error is logged."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a version cannot be let serve: %r", error, exc_info=error)
