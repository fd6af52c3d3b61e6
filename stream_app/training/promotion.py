"""Writes a symbol's new models as a version, and lets it serve."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from stream_app.bars.features import BarColumns
from stream_app.clock import Clock
from stream_app.messages.schemas import Champion
from stream_app.models.catalog import CATALOG, LSTM
from stream_app.models.model_set import ModelSet
from stream_app.registry.manifest import TrainedSet
from stream_app.registry.versions import Versions
from stream_app.training.gate import Verdict
from stream_app.training.job import TrainedModel

logger = logging.getLogger(__name__)


class Champions(Protocol):
    """Who serves, and how another version comes to."""

    def is_pinned(self, name: str) -> bool:
        """Whether retrains leave a symbol's version in place."""

    def needed(self, name: str) -> set[str]:
        """The versions of a symbol that must stay."""

    def standing(self, name: str) -> Champion | None:
        """What the champions topic says of a symbol; None where it says nothing."""

    async def promote(self, name: str, models: ModelSet) -> bool:
        """Let a symbol's new models serve. Returns when they do; False where a pin came first."""


class Promotion:
    """From four new models to the version that serves. Lives in the event loop."""

    def __init__(
        self, *, versions: Versions, champions: Champions, clock: Clock, is_warm_start: bool
    ) -> None:
        """Promote nothing yet.

        Args:
            versions: the registry.
            champions: who serves.
            clock: a version is named after the time.
            is_warm_start: whether the LSTM was trained from the weights of the one that serves.
        """
        self._versions = versions
        self._champions = champions
        self._clock = clock
        self._is_warm_start = is_warm_start

    async def promote(
        self,
        symbol: str,
        bars: BarColumns,
        models: ModelSet,
        trained: Mapping[str, TrainedModel],
        verdict: Verdict,
        *,
        made: Callable[[], None],
    ) -> tuple[str, bool]:
        """Write the new version and let it serve unless the symbol is pinned.

        Without a new bar the models are those of a version that is there. It is not written again
        under another name: that would push out the versions that can be gone back to.

        Args:
            symbol: whose.
            bars: the window that they learned from.
            models: that serve now.
            trained: the new ones, by name.
            verdict: the gate's, with the figures that the version keeps.
            made: called once the version only has to be named champion: that waits for the broker.

        Returns:
            Its name, and whether it serves.

        Raises:
            ArtifactError: it cannot be written or loaded back.
        """
        handover = TrainedSet(
            symbol=symbol,
            artifacts={name: model.artifact for name, model in trained.items()},
            seconds={name: model.seconds for name, model in trained.items()},
            rows=trained[LSTM].rows,
            data_from=int(bars.ts_open[0]),
            data_to=int(bars.ts_last[-1]),
            gate=verdict.figures,
        )
        new = await self._versions.known(handover, serving=models.version, models=self._told_by())
        if new is None:
            new = await self._versions.publish(
                handover, now=self._clock.now(), keep=self._champions.needed(symbol)
            )
        else:
            logger.info("%s: same models as %s: no new bar since", symbol, new.version)
            named = self._champions.standing(symbol)
            if named is not None and named.version == new.version == models.version:
                return new.version, True
        if self._champions.is_pinned(symbol):
            return new.version, False
        made()
        return new.version, await self._champions.promote(symbol, new)

    def _told_by(self) -> list[str]:
        """The models whose bytes tell whether anything new was learned.

        A warm start continues from the previous weights, so its bytes change on the same bars too.
        """
        return [name for name in CATALOG if name != LSTM or not self._is_warm_start]
