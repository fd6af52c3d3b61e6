"""What lies in a registry, for commands that show it. Loads no model; blocks on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import orjson

from stream_app.errors import ArtifactError
from stream_app.registry.disk import read_regular
from stream_app.registry.folders import folder_name
from stream_app.registry.manifest import MANIFEST, MANIFEST_MAX_BYTES, read_manifest
from stream_app.registry.names import VERSION_PATTERN


class Listing(Protocol):
    """The versions of every symbol in one place, whatever settings they were trained with."""

    where: str
    """The place, for a message: what must be the same as the worker's."""

    def symbols(self) -> list[str]:
        """The names of all states with an intact version, sorted."""

    def versions(self, name: str) -> list[str]:
        """A state's versions, oldest first."""

    def has(self, name: str, version: str) -> bool:
        """Whether a version of a state is there."""

    def owner(self, version: str) -> str | None:
        """The state's name that a version belongs to; None where there is no such version."""

    def manifest(self, name: str, version: str) -> dict[str, Any]:
        """What a version says of itself.

        Raises:
            ArtifactError: it is missing or altered, or another symbol's.
        """


class DiskListing:
    """The versions in one DATA_DIR."""

    where = "DATA_DIR"

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / "models"

    def symbols(self) -> list[str]:
        """The names of all states with an intact version, sorted.

        A folder's name is not read back into a symbol: the manifest says it.
        """
        found: set[str] = set()
        for folder in self._root.glob("*"):
            newest = sorted(folder.glob("*"), reverse=True)
            found.update(name for version in newest[:1] if (name := _owner(version)) is not None)
        return sorted(found)

    def versions(self, name: str) -> list[str]:
        """A symbol's versions, oldest first.

        Args:
            name: of the state, as in `state_name`.
        """
        folder = self._root / folder_name(name)
        return sorted(
            each.name for each in folder.glob("*") if VERSION_PATTERN.fullmatch(each.name)
        )

    def has(self, name: str, version: str) -> bool:
        """Whether a version of a state is there, intact or not."""
        return version in self.versions(name)

    def owner(self, version: str) -> str | None:
        """The state's name that a version belongs to; None where there is no such version."""
        if not VERSION_PATTERN.fullmatch(version):
            return None
        owners = map(_owner, self._root.glob(f"*/{version}"))
        return next((owner for owner in owners if owner is not None), None)

    def manifest(self, name: str, version: str) -> dict[str, Any]:
        """What a version says of itself.

        Raises:
            ArtifactError: it is missing or altered, or another symbol's.
        """
        return read_manifest(self._root / folder_name(name) / version, name, version)


def _owner(version: Path) -> str | None:
    try:
        symbol = orjson.loads(read_regular(version / MANIFEST, MANIFEST_MAX_BYTES))["symbol"]
        read_manifest(version, symbol, version.name)
    except (OSError, KeyError, TypeError, ValueError, ArtifactError):
        return None
    return str(symbol)
