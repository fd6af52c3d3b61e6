"""What an operator's command writes to the champions topic, or why it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stream_app.errors import VersionError
from stream_app.messages.schemas import Champion, ChampionBy
from stream_app.registry.overview import Overview


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who changes something, when and why."""

    who: str
    """Host and process."""
    why: str
    now: datetime


def rolled_back(overview: Overview, name: str, version: str | None, operator: Operator) -> Champion:
    """Go back to the version that served before, or to a given one. A pinned symbol stays pinned.

    Raises:
        VersionError: there is nothing to go back to, or it is not there, or serves already.
    """
    overview.require(name)
    wanted = overview.log.before(name) if version is None else version
    if wanted is None:
        raise VersionError(
            f"{name}: no version is known to have served before the one that serves; name one "
            f"of `stream-app models list {name}`"
        )
    overview.require_version(name, wanted)
    standing = overview.log.standing(name)
    if standing is not None and standing.version == wanted:
        raise VersionError(f"{name}: {wanted} serves already")
    pinned = standing is not None and standing.pinned
    return _said(name, wanted, "rollback", pinned=pinned, operator=operator)


def pinned(overview: Overview, name: str, version: str, operator: Operator) -> Champion:
    """Let a version serve until it is unpinned.

    Raises:
        VersionError: there is no such version of this symbol, or it is pinned already.
    """
    overview.require(name)
    overview.require_version(name, version)
    standing = overview.log.standing(name)
    if standing is not None and standing.pinned and standing.version == version:
        why = f": {standing.why}" if standing.why else ""
        raise VersionError(f"{name}: {version} is pinned already, since {standing.since}{why}")
    return _said(name, version, "pin", pinned=True, operator=operator)


def unpinned(overview: Overview, name: str, operator: Operator) -> Champion:
    """Let the next retrain replace what serves.

    Raises:
        VersionError: the symbol is not pinned.
    """
    overview.require(name)
    standing = overview.log.standing(name)
    if standing is None or not standing.pinned:
        raise VersionError(f"{name}: not pinned")
    return _said(name, standing.version, "unpin", pinned=False, operator=operator)


def _said(name: str, version: str, by: ChampionBy, *, pinned: bool, operator: Operator) -> Champion:
    return Champion(
        symbol=name,
        version=version,
        since=operator.now.isoformat(timespec="milliseconds"),
        by=by,
        why=operator.why,
        pinned=pinned,
        worker=operator.who,
    )
