"""The versions of a symbol: the champions topic's records, and what can be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stream_app.errors import ArtifactError, VersionError
from stream_app.messages.schemas import Champion
from stream_app.messages.symbols import some_of
from stream_app.registry.champion_log import ChampionLog
from stream_app.registry.listing import Listing
from stream_app.registry.names import made_at


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLine:
    """One version of a symbol."""

    version: str
    made: str
    """When, by its name: ISO 8601, UTC."""
    serves: bool
    pinned: bool
    since: str | None
    """When it was last named champion; None if never. So with `by` and `why`."""
    by: str | None
    why: str | None
    on_disk: bool
    """Whether it can be gone back to."""
    data_from: str | None = None
    """Event time of the first bar that it learned from, ISO 8601, UTC; None where not on disk."""
    data_to: str | None = None
    rows: int | None = None
    gate: Mapping[str, float] = field(default_factory=dict)
    """The figures by which it may serve; empty for versions from before the gate."""


class Overview:
    """All known versions of every symbol."""

    def __init__(self, told: Sequence[Champion], listing: Listing) -> None:
        self._told = told
        self._listing = listing
        self.log = ChampionLog(told)

    @property
    def symbols(self) -> list[str]:
        """The names of all states with versions, sorted."""
        return sorted({*self.log.symbols, *self._listing.symbols()})

    def require(self, name: str) -> None:
        """Reject an unknown symbol.

        Raises:
            VersionError: one line with the symbols that there are.
        """
        if self.log.standing(name) is None and not self._listing.versions(name):
            known = some_of(self.symbols) or "none yet"
            raise VersionError(f"{name}: no such symbol has models; there are {known}")

    def lines(self, name: str) -> list[VersionLine]:
        """The versions of a symbol that serve or are on disk, newest first."""
        standing, on_disk = self.log.standing(name), self._listing.versions(name)
        versions = {*on_disk, *([standing.version] if standing else [])}
        return [self.line(name, version) for version in sorted(versions, reverse=True)]

    def line(self, name: str, version: str) -> VersionLine:
        """What is known of one version."""
        standing = self.log.standing(name)
        serves = standing is not None and standing.version == version
        last = next(
            (
                each
                for each in reversed(self._told)
                if (each.symbol, each.version) == (name, version)
            ),
            None,
        )
        made = made_at(version)
        try:
            said = _of_manifest(self._listing.manifest(name, version))
        except ArtifactError:
            said = {}
        return VersionLine(
            version=version,
            made=made.isoformat() if made else "",
            serves=serves,
            pinned=serves and standing is not None and standing.pinned,
            since=last.since if last else None,
            by=last.by if last else None,
            why=last.why if last else None,
            on_disk=bool(said),
            **said,
        )

    def require_version(self, name: str, version: str) -> None:
        """Refuse a version that is not one of this symbol's on disk.

        Raises:
            VersionError: one line that says whose it is, or that it is gone, and what there is.
        """
        if self._listing.has(name, version):
            return
        on_disk = self._listing.versions(name)
        owner = self._listing.owner(version)
        what = f"belongs to {owner}" if owner else "is not in the registry, or has gone from it"
        there = (
            ", ".join(reversed(on_disk))
            or f"none here; {self._listing.where} must be that of the worker"
        )
        raise VersionError(f"{name}: version {version[:80]!r} {what}; there are {there}")


def _of_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    data = manifest["data"]
    return {
        "data_from": _utc(data["from"]),
        "data_to": _utc(data["to"]),
        "rows": data["rows"],
        "gate": manifest.get("gate", {}),
    }


def _utc(ts: int) -> str:
    return datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="seconds")
