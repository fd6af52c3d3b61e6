"""Which models a symbol continues with after a restore: those that served, and the champion."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stream_app.errors import ArtifactError, StoreError
from stream_app.messages.schemas import Champion
from stream_app.messages.symbols import split_state_name
from stream_app.models.model_set import UNTRAINED, ModelSet
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.versions import Versions

logger = logging.getLogger(__name__)


class ServingModels:
    """Lives in the event loop; loading waits for the disk or the object store."""

    def __init__(
        self,
        *,
        versions: Versions,
        named: Callable[[str], Champion | None],
        before: Callable[[str], str | None],
        on_progress: Callable[[], None],
    ) -> None:
        """Load nothing yet.

        Args:
            versions: have the models.
            named: from a state's name to what the champions topic says of it.
            before: from a state's name to the version that served before.
            on_progress: called with each step.
        """
        self._versions = versions
        self._named = named
        self._before = before
        self._on_progress = on_progress

    async def load(
        self, pipeline: SymbolPipeline, version: str
    ) -> tuple[ModelSet | None, ModelSet | None]:
        """The models of the version that a symbol's state names, and the champion, if any.

        One elsewhere that has no models yet takes those of its symbol.
        """
        self._on_progress()
        name = owner = pipeline.name
        symbol, _ = split_state_name(name)
        champion = await self._champion(name, pipeline.models)
        if champion is None and symbol != name:
            owner = symbol
            champion = await self._champion(symbol, pipeline.models)
        if version == UNTRAINED:
            return None, champion
        if champion is not None and champion.version == version:
            return champion, champion
        try:
            return await self._versions.load(owner, version), champion
        except (ArtifactError, StoreError) as error:
            logger.warning("%s: the version that served last is unavailable: %s", name, error)
            return None, champion

    async def _champion(self, name: str, kept: ModelSet) -> ModelSet | None:
        """The version that the champions topic names, or what comes nearest.

        A standby has it already.
        """
        named = self._named(name)
        version = named.version if named is not None else ""
        if kept.is_trained and kept.version == version:
            return kept
        models = await self._versions.champion(name, version, self._before(name))
        self._on_progress()
        return models
