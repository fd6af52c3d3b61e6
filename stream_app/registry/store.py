"""The model registry: a folder of versions for each symbol, written whole or not at all.

    DATA_DIR/models/SYMBOL/VERSION/manifest.json + one artifact per model

SYMBOL stands for a state's name: a symbol whose ticks come in two partitions has a folder for each,
because each is written by the worker that has the partition.

A version is staged, loaded back, and renamed into place (`staging.py`). Which one serves is
recorded on the champions topic; the registry keeps the files. Reading trusts nothing: symbols,
versions and file names must be the expected ones, symbolic links are not followed, and each size
and SHA-256 must match. The artifacts are ONNX or JSON, never pickles.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from stream_app.errors import ArtifactError
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import CATALOG, KALMAN
from stream_app.models.kalman import noise_of
from stream_app.models.model_set import ModelSet
from stream_app.registry.disk import discard, read_regular, reason, require_folder, write_new
from stream_app.registry.folders import folder_name
from stream_app.registry.manifest import (
    MANIFEST,
    MANIFEST_MAX_BYTES,
    TrainedSet,
    read_artifact,
    read_manifest,
    training_seconds,
    write_version,
)
from stream_app.registry.names import VERSION_PATTERN, require_state_name, require_version_name
from stream_app.registry.sameness import is_same
from stream_app.registry.staging import write_whole

logger = logging.getLogger(__name__)

KEPT_VERSIONS: Final = 5
"""How many versions of a symbol are kept: enough to go back a few hours."""


class Registry:
    """The versions of every symbol in one folder. All methods block on the disk."""

    def __init__(self, data_dir: Path, settings: ModelSettings) -> None:
        self._root = data_dir / "models"
        self._settings = settings

    def publish(
        self, trained: TrainedSet, *, now: datetime, keep: Collection[str] = ()
    ) -> ModelSet:
        """Write a version and load it back. It serves once the champions topic says so.

        Older versions are removed but for the newest.

        Args:
            trained: what to write.
            now: the version is named after it.
            keep: older versions that stay.

        Raises:
            ArtifactError: the version cannot be written or loaded back.
        """
        digest = hashlib.sha256(b"".join(trained.artifacts[name] for name in CATALOG)).hexdigest()
        version = f"{now:%Y%m%dT%H%M%SZ}-{digest[:8]}"
        write = partial(write_version, trained=trained, settings=self._settings)
        models = self._write(trained.symbol, version, partial(write, version=version, now=now))
        self._prune(self._folder(trained.symbol), keep={version, *keep})
        return models

    def known(
        self, trained: TrainedSet, *, serving: str, models: Collection[str]
    ) -> ModelSet | None:
        """The version that is what a training gave, loaded; None where there is none intact.

        Args:
            trained: what it gave.
            serving: the version that serves; it counts before the others, which go by their age.
            models: whose bytes must be the same.
        """
        symbol = trained.symbol
        folder = self._folder(symbol)
        with contextlib.suppress(OSError):  # never published, or not to be read
            require_folder(folder)
            by_age = sorted(_versions(folder), reverse=True)
            for version in sorted(by_age, key=lambda version: version != serving):
                with contextlib.suppress(ArtifactError):
                    manifest = self._manifest(folder / version, symbol, version)
                    if is_same(manifest, trained, models):
                        return self.load(symbol, version)
        return None

    def take_in(self, symbol: str, version: str, files: Mapping[str, bytes]) -> ModelSet:
        """Write a version that was read elsewhere, and load it back. It must pass all of `load`.

        Args:
            symbol: or the name of its state.
            version: its name.
            files: the content by file name, the manifest included.

        Raises:
            ArtifactError: it is altered or incomplete, or cannot be written.
        """
        self._place(symbol, version)  # refuses what is no name

        def write(staging: Path) -> None:
            for name, content in files.items():
                write_new(staging / name, content)

        return self._write(symbol, version, write)

    def files(self, symbol: str, version: str) -> dict[str, bytes]:
        """A version as it is on disk, by file name: checked, whatever settings it was trained with.

        The manifest comes last.

        Raises:
            ArtifactError: a file is missing or altered.
        """
        place = self._place(symbol, version)
        entries = read_manifest(place, symbol, version)["files"]
        found = {
            spec.file_name: read_artifact(place, name, entries) for name, spec in CATALOG.items()
        }
        try:
            return {**found, MANIFEST: read_regular(place / MANIFEST, MANIFEST_MAX_BYTES)}
        except OSError as error:
            raise ArtifactError(f"{place / MANIFEST}: {reason(error)}") from None

    def has(self, symbol: str, version: str) -> bool:
        """Whether there is such a version, intact or not."""
        return (self._place(symbol, version) / MANIFEST).is_file()

    def _write(self, symbol: str, version: str, write: Callable[[Path], None]) -> ModelSet:
        load = partial(self._load, symbol=symbol, version=version)
        return write_whole(self._folder(symbol), version, write=write, load=load)

    def champion(self, symbol: str, named: str = "") -> ModelSet | None:
        """The version that is to serve a symbol.

        It never raises because of what is on the disk; it logs each problem as a warning.

        Args:
            symbol: or the name of its state.
            named: the version that the champions topic names; empty where it names none.

        Returns:
            That version, or the newest intact one before it, or the newest intact one after it, or
            None.
        """
        tried: set[str] = set()
        try:
            folder = self._folder(symbol)
            while (version := self._candidate(folder, named, tried)) is not None:
                tried.add(version)
                try:
                    return self.load(symbol, version)
                except ArtifactError as error:
                    logger.warning("%s; trying the version before it", error)
        except FileNotFoundError:
            return None  # never published
        except ArtifactError as error:
            logger.warning("%s; no models until the next retrain", error)
        except OSError as error:
            logger.warning(
                "model registry %s: %s; no models until the next retrain", folder, error.strerror
            )
        return None

    def load(self, symbol: str, version: str) -> ModelSet:
        """Load one version after checking all of it.

        Raises:
            ArtifactError: a file is missing, altered or of the wrong kind; the message names it.
        """
        return self._load(self._place(symbol, version), symbol, version)

    def artifact(self, symbol: str, version: str, model: str) -> bytes:
        """One artifact of a version as bytes, checked as in `load`.

        Raises:
            ArtifactError: as `load`.
        """
        place = self._place(symbol, version)
        return read_artifact(place, model, self._manifest(place, symbol, version)["files"])

    def _place(self, symbol: str, version: str) -> Path:
        folder = self._folder(symbol)
        require_version_name(version, folder)
        return folder / version

    def _manifest(self, folder: Path, symbol: str, version: str) -> dict[str, Any]:
        """The manifest of a version, if this worker's settings are those of its training."""
        manifest = read_manifest(folder, symbol, version)
        wanted = orjson.loads(orjson.dumps(asdict(self._settings)))
        if manifest["settings"] != wanted:
            changed = [key for key in wanted if manifest["settings"].get(key) != wanted[key]]
            raise ArtifactError(
                f"{folder}: trained with another {', '.join(changed) or 'set of settings'}; the "
                "next retrain replaces it"
            )
        return manifest

    def _load(self, folder: Path, symbol: str, version: str) -> ModelSet:
        manifest = self._manifest(folder, symbol, version)
        members = {}
        for name, spec in CATALOG.items():
            artifact = read_artifact(folder, name, manifest["files"])
            members[name] = spec.load(artifact, self._settings)
        return ModelSet(
            version=version,
            trained_to_ts=int(manifest["data"]["to"]),
            members=members,
            noise=noise_of(members[KALMAN]),
            trained_in_s=training_seconds(manifest),
        )

    @staticmethod
    def _candidate(folder: Path, named: str, tried: set[str]) -> str | None:
        """The version to try next: the named one, then those before it, then those after it."""
        require_folder(folder)
        if named and named not in tried:
            return named
        left = set(_versions(folder)) - tried
        older = {name for name in left if name < named}
        return max(older or left, default=None)

    def _folder(self, name: str) -> Path:
        """The folder of a state's name, directly below the root."""
        require_state_name(name, self._root)
        return self._root / folder_name(name)

    @staticmethod
    def _prune(folder: Path, *, keep: Collection[str]) -> None:
        try:
            older = sorted(_versions(folder))[:-KEPT_VERSIONS]
        except OSError:
            return  # the next publish prunes again
        for name in older:
            if name not in keep:
                discard(folder / name)


def _versions(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if VERSION_PATTERN.fullmatch(path.name)]
