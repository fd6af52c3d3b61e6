"""Who serves, by what was said on the champions topic. Pure.

The newest word on a symbol counts, with one exception: a retrain does not replace a pinned version.
A pin and a promotion may be written at the same moment, and the pin must hold whichever comes last.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from stream_app.messages.schemas import Champion

REMEMBERED: Final = 100
"""How many versions back a symbol can be rolled, one step at a time."""


class ChampionLog:
    """Which version serves each symbol, and which did before."""

    def __init__(self, told: Iterable[Champion] = ()) -> None:
        self._standing: dict[str, Champion] = {}
        self._path: dict[str, list[str]] = {}
        """By symbol, the versions that served; a step back takes off those after it."""
        for champion in told:
            self.take(champion)

    def take(self, champion: Champion) -> bool:
        """Note what was said, in the order of the topic. Returns whether it counts."""
        name, standing = champion.symbol, self._standing.get(champion.symbol)
        if standing is not None and standing.pinned and champion.by == "retrain":
            return False
        self._standing[name] = champion
        path = self._path.setdefault(name, [])
        if champion.version in path:
            del path[path.index(champion.version) + 1 :]
        else:
            path.append(champion.version)
            del path[:-REMEMBERED]
        return True

    @property
    def symbols(self) -> list[str]:
        """The names of all states that a version was named for, sorted."""
        return sorted(self._standing)

    def standing(self, name: str) -> Champion | None:
        """What counts of a symbol; None where nothing was said.

        Args:
            name: of the state, as in `state_name`.
        """
        return self._standing.get(name)

    def before(self, name: str) -> str | None:
        """The version that served before the one that serves; None where there was none.

        >>> told = dict(symbol="A", since="", why="", pinned=False, worker="")
        >>> log = ChampionLog(Champion(version=v, by="retrain", **told) for v in "abc")
        >>> log.before("A")
        'b'
        >>> log.take(Champion(version="b", by="rollback", **told)), log.before("A")
        (True, 'a')
        """
        path = self._path.get(name, [])
        return path[-2] if len(path) > 1 else None

    def needed(self, name: str) -> set[str]:
        """The versions of a symbol that must stay: that which serves, and one step back."""
        return set(self._path.get(name, [])[-2:])


def serving_at(told: Iterable[Champion], time: datetime) -> ChampionLog:
    """Who served at a time.

    Args:
        told: in the order of the topic.
        time: with a time zone.
    """
    return ChampionLog(each for each in told if datetime.fromisoformat(each.since) <= time)
