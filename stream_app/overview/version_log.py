"""Which version of each symbol's models serves, since when and why. Pure.

The champions topic says it. Of symbols that it does not name yet, the retrain events do: each
version that they name became champion then.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from stream_app.messages.schemas import Champion, RetrainEvent
from stream_app.overview.bound import MOST_SYMBOLS, put_last
from stream_app.overview.inputs import cut

KEPT_VERSIONS: Final = 20
"""Of one symbol."""


class VersionLog:
    """The newest versions that served or serve, of the symbols that got one last."""

    def __init__(self) -> None:
        self._told: dict[str, deque[Champion]] = {}
        self._by_champions: set[str] = set()
        self.noted = 0
        """Grows with each version."""

    def take_champion(self, champion: Champion) -> None:
        """Note what the champions topic says; it counts before what events tell."""
        if champion.symbol not in self._by_champions:
            self._by_champions.add(champion.symbol)
            self._told.pop(champion.symbol, None)
        self._note(champion)

    def take_event(self, event: RetrainEvent) -> None:
        """Note the versions of a cycle; one that served before it serves since then."""
        for symbol, version in event.versions.items():
            before = self.serving(symbol)
            if symbol not in self._by_champions and (before is None or before.version != version):
                why = f"{event.trigger} retrain"
                self._note(
                    Champion(
                        symbol=symbol,
                        version=version,
                        since=event.timestamp,
                        by="retrain",
                        why=why,
                        pinned=False,
                        worker=event.worker,
                    )
                )

    def serving(self, symbol: str) -> Champion | None:
        """What serves now."""
        told = self._told.get(symbol)
        return told[-1] if told else None

    def table(self, symbol: str) -> list[dict[str, Any]]:
        """Fit for JSON: a symbol's versions, the one that serves first."""
        return [
            {
                "version": cut(item.version),
                "since": cut(item.since),
                "by": item.by,
                "why": cut(item.why),
                "pinned": item.pinned,
                "worker": cut(item.worker),
            }
            for item in reversed(self._told.get(symbol, ()))
        ]

    def _note(self, champion: Champion) -> None:
        told = self._told.get(champion.symbol)
        if told is None:
            told = deque(maxlen=KEPT_VERSIONS)
        if not told or told[-1] != champion:
            told.append(champion)
            self.noted += 1
            forgotten = put_last(self._told, champion.symbol, told, MOST_SYMBOLS)
            self._by_champions.discard(forgotten or "")
