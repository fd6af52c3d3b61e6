"""What lies in an object store, for commands that show it. Loads no model; blocks on the store."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import obstore
import orjson

from stream_app.errors import ArtifactError, NotThereError, StoreError
from stream_app.registry.manifest import MANIFEST, MANIFEST_MAX_BYTES, parse_manifest
from stream_app.registry.names import VERSION_PATTERN
from stream_app.registry.object_store import ObjectStore


class StoreListing:
    """The versions at one REGISTRY_URL, listed once.

    A listing may lag behind writes, so a single version is looked up by its name.
    """

    where = "REGISTRY_URL"

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @cached_property
    def _listed(self) -> dict[str, list[str]]:
        """By folder, the versions that have a manifest, oldest first."""
        found: dict[str, list[str]] = {}
        with self._store.asking("the versions"):
            paths = [each["path"] for each in obstore.list(self._store.client).collect()]
        for path in sorted(paths):
            match path.split("/")[-3:]:
                case folder, version, "manifest.json" if VERSION_PATTERN.fullmatch(version):
                    found.setdefault(folder, []).append(version)
        return found

    def symbols(self) -> list[str]:
        """As `Listing`."""
        owners = (self._owner(folder, versions[-1]) for folder, versions in self._listed.items())
        return sorted({owner for owner in owners if owner is not None})

    def versions(self, name: str) -> list[str]:
        """As `Listing`."""
        return list(self._listed.get(self._store.folder(name), ()))

    def has(self, name: str, version: str) -> bool:
        """As `Listing`; a version that was just written too."""
        if not VERSION_PATTERN.fullmatch(version):
            return False
        path = f"{self._store.place(name, version)}/{MANIFEST}"
        try:
            with self._store.asking(path):
                obstore.head(self._store.client, path)
        except NotThereError:
            return False
        return True

    def owner(self, version: str) -> str | None:
        """As `Listing`."""
        folders = (folder for folder, versions in self._listed.items() if version in versions)
        owners = (self._owner(folder, version) for folder in folders)
        return next((owner for owner in owners if owner is not None), None)

    def manifest(self, name: str, version: str) -> dict[str, Any]:
        """As `Listing`."""
        path = f"{self._store.place(name, version)}/{MANIFEST}"
        try:
            return parse_manifest(self._read(path), f"{self._store.url}/{path}", name, version)
        except NotThereError as error:
            raise ArtifactError(str(error)) from None

    def _owner(self, folder: str, version: str) -> str | None:
        path = f"{folder}/{version}/{MANIFEST}"
        try:
            raw = self._read(path)
            symbol = orjson.loads(raw)["symbol"]
            parse_manifest(raw, path, symbol, version)
        except (StoreError, KeyError, TypeError, ValueError, ArtifactError):
            return None
        return str(symbol)

    def _read(self, path: str) -> bytes:
        with self._store.asking(path):
            found = obstore.get(self._store.client, path)
            if found.meta["size"] > MANIFEST_MAX_BYTES:
                raise ArtifactError(f"{self._store.url}/{path}: not a manifest")
            return bytes(found.bytes())
