"""Where a worker gets model versions from and gives new ones to: the disk, and the store behind it.

With an object store the disk is its cache: a version is read from the store once. The disk is
written first, and what is on it can serve. So a store that is away costs no prediction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from stream_app.errors import ArtifactError, StoreError
from stream_app.messages.symbols import split_state_name
from stream_app.models.model_set import ModelSet
from stream_app.registry.manifest import TrainedSet
from stream_app.registry.store import Registry

if TYPE_CHECKING:
    from stream_app.registry.object_store import ObjectStore
    from stream_app.registry.uploads import Uploads

logger = logging.getLogger(__name__)

HAND_OVER_S: Final = 10.0
"""How long a new version may take to the store before it is named champion all the same."""


class Versions:
    """Lives in the event loop; the disk is read and written in a thread."""

    def __init__(
        self, disk: Registry, store: ObjectStore | None = None, uploads: Uploads | None = None
    ) -> None:
        """Know where versions are.

        Args:
            disk: the registry in DATA_DIR.
            store: the object store behind it; None where there is none.
            uploads: writes to the store.
        """
        self._disk = disk
        self._store = store
        self._uploads = uploads

    @property
    def has_store(self) -> bool:
        """Whether a version that is not on this disk may be found elsewhere."""
        return self._store is not None

    async def publish(
        self, trained: TrainedSet, *, now: datetime, keep: Collection[str] = ()
    ) -> ModelSet:
        """Write a version to the disk and hand it to the store, as `Registry.publish`.

        Waits until it is in the store, so that every worker can read what is named champion; but
        not for a store that is away, and no longer than `HAND_OVER_S`. Then it is written later.
        """
        write = partial(self._disk.publish, trained, now=now, keep=keep)
        models = await asyncio.to_thread(write)
        await self._hand_over(trained.symbol, models.version)
        return models

    async def known(
        self, trained: TrainedSet, *, serving: str, models: Collection[str]
    ) -> ModelSet | None:
        """The version on this disk that is what a training gave, as `Registry.known`.

        It is in the store then, as one that is published: its worker may have pruned it there.
        """
        look = partial(self._disk.known, trained, serving=serving, models=models)
        found = await asyncio.to_thread(look)
        if found is not None:
            await self._hand_over(trained.symbol, found.version)
        return found

    async def _hand_over(self, name: str, version: str) -> None:
        if self._store is not None and self._uploads is not None:
            written = self._uploads.add(name, version)
            if not self._store.is_away:
                await asyncio.wait([written], timeout=HAND_OVER_S)

    async def on_disk(self, name: str, version: str) -> ModelSet:
        """Load a version that must be on this disk, as `Registry.load`."""
        return await asyncio.to_thread(self._disk.load, name, version)

    async def load(self, name: str, version: str) -> ModelSet:
        """Load a version from this disk, or else from the store to this disk.

        Raises:
            ArtifactError: it is not there, altered or of the wrong kind.
            StoreError: it is not on this disk, and not in the store yet or the store is away.
        """
        try:
            return await self.on_disk(name, version)
        except ArtifactError:
            if self._store is None:
                raise
        files = await self._store.get(name, version)
        models = await asyncio.to_thread(self._disk.take_in, name, version, files)
        logger.info("%s: version %s read from the store", name, version)
        return models

    async def champion(
        self, name: str, named: str = "", before: str | None = None
    ) -> ModelSet | None:
        """The version that is to serve a symbol, or what comes nearest. Logs what is wrong.

        Args:
            name: of the state.
            named: the version that the champions topic names; empty where it names none.
            before: the version that served before, for when the named one is in no place.

        Returns:
            As `Registry.champion`.
        """
        wanted = [version for version in (named, before) if version]
        if self._store is not None:
            for version in wanted:
                try:
                    return await self.load(name, version)
                except (ArtifactError, StoreError) as error:
                    logger.warning("%s: version %s cannot serve yet: %s", name, version, error)
        return await asyncio.to_thread(self._disk.champion, name, named)

    async def artifact(self, name: str, version: str, model: str) -> bytes:
        """One artifact of a version on this disk, as `Registry.artifact`.

        A state elsewhere that has no version of its own yet is served by one of its symbol.
        """
        if not self._disk.has(name, version):
            name, _ = split_state_name(name)
        return await asyncio.to_thread(self._disk.artifact, name, version, model)

    def complete(self, needed: Iterable[tuple[str, str]]) -> None:
        """Have those of these versions written that this disk has and the store lacks.

        Args:
            needed: state and version, of all that may serve.
        """
        if self._uploads is not None:
            for name, version in needed:
                with contextlib.suppress(ArtifactError):  # anybody may write to the topic
                    if self._disk.has(name, version):
                        self._uploads.add(name, version)
