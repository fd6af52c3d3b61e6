"""A version on disk: its artifacts, and the manifest that describes them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import orjson

from stream_app.errors import ArtifactError
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import CATALOG
from stream_app.registry.disk import read_regular, reason, require_folder, write_new

MANIFEST: Final = "manifest.json"
MANIFEST_MAX_BYTES: Final = 1 << 20
SHARED_LIBRARIES: Final = ("numba", "numpy", "onnx")
"""Libraries that every artifact depends on. Those of one model stand in the catalog."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSet:
    """What a retrain hands over to the registry for one symbol."""

    symbol: str
    artifacts: Mapping[str, bytes]
    """By model name."""
    seconds: Mapping[str, float]
    rows: int
    data_from: int
    """Event time of the first bar's opening, epoch ms."""
    data_to: int
    """Event time of the last tick learned from, epoch ms."""
    gate: Mapping[str, float] = field(default_factory=dict)
    """The figures by which it may serve."""


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """The SHA-256 of everything in a manifest."""
    return hashlib.sha256(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def read_manifest(folder: Path, symbol: str, version: str) -> dict[str, Any]:
    """The manifest of a version.

    Raises:
        ArtifactError: the manifest is missing or altered, is no manifest, or belongs to another
            symbol or version.
    """
    path = folder / MANIFEST
    try:
        require_folder(folder)
        raw = read_regular(path, MANIFEST_MAX_BYTES)
    except OSError as error:
        raise ArtifactError(f"{path}: {reason(error)}") from None
    return parse_manifest(raw, path, symbol, version)


def parse_manifest(raw: bytes, path: Path | str, symbol: str, version: str) -> dict[str, Any]:
    """The manifest in these bytes, which were read from `path`.

    Raises:
        ArtifactError: as `read_manifest`.
    """
    try:
        manifest = orjson.loads(raw)
        digest = manifest.pop("sha256")
        for key, wanted in (("symbol", symbol), ("version", version)):
            if manifest[key] != wanted:
                raise ArtifactError(f"{path}: belongs to {key} {manifest[key]!r}, not {wanted!r}")
        if not isinstance(manifest["settings"], dict) or not isinstance(manifest["files"], dict):
            raise TypeError
        if digest != manifest_digest(manifest):
            raise ArtifactError(f"{path}: altered, its SHA-256 does not match")
        int(manifest["data"]["to"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ArtifactError(f"{path}: not a manifest") from None
    return dict(manifest)


def training_seconds(manifest: Mapping[str, Any]) -> float:
    """How long the version's trainings took, one after the other; 0 where it does not say so.

    >>> training_seconds({"seconds": {"kalman": 0.5, "lstm": 2.0}}), training_seconds({})
    (2.5, 0.0)
    """
    seconds = manifest.get("seconds")
    if not isinstance(seconds, dict):
        return 0.0
    known = [item for item in seconds.values() if isinstance(item, (int, float)) and item >= 0]
    return float(sum(known))


def read_artifact(folder: Path, name: str, files: Mapping[str, Any]) -> bytes:
    """A model's artifact, checked against its entry in the manifest.

    Raises:
        ArtifactError: the file is missing or altered, or the manifest names another file.
    """
    expected, size = file_of(files, name, folder / MANIFEST)
    try:
        artifact = read_regular(folder / expected, size)
    except OSError as error:
        raise ArtifactError(f"{folder / expected}: {reason(error)}") from None
    require_intact(artifact, files[name], folder / expected)
    return artifact


def file_of(files: Mapping[str, Any], name: str, path: Path | str) -> tuple[str, int]:
    """The file of a model and its size in bytes, as the manifest at `path` says.

    Raises:
        ArtifactError: the manifest names another file than it must.
    """
    expected = CATALOG[name].file_name
    entry = files.get(name)
    if not isinstance(entry, dict) or entry.get("file") != expected:
        raise ArtifactError(f"{path}: {name} must be the file {expected}")
    size = entry.get("bytes")
    if not isinstance(size, int) or size < 0:
        raise ArtifactError(f"{path}: no valid size of {expected}")
    return expected, size


def require_intact(artifact: bytes, entry: Mapping[str, Any], path: Path | str) -> None:
    """Refuse an artifact that is not the one of the manifest's entry.

    Raises:
        ArtifactError: its SHA-256 is another.
    """
    if hashlib.sha256(artifact).hexdigest() != entry.get("sha256"):
        raise ArtifactError(f"{path}: altered, its SHA-256 is not the manifest's")


def write_version(
    folder: Path, trained: TrainedSet, settings: ModelSettings, *, version: str, now: datetime
) -> None:
    """Write a version's artifacts and manifest into an empty folder, and flush them to disk.

    Raises:
        OSError: a file cannot be written.
    """
    files = {}
    for name, spec in CATALOG.items():
        artifact = trained.artifacts[name]
        file = spec.file_name
        write_new(folder / file, artifact)
        files[name] = {
            "file": file,
            "bytes": len(artifact),
            "sha256": hashlib.sha256(artifact).hexdigest(),
        }
    manifest: dict[str, Any] = {
        "version": version,
        "symbol": trained.symbol,
        "created": now.isoformat(),
        "data": {"from": trained.data_from, "to": trained.data_to, "rows": trained.rows},
        "seconds": dict(trained.seconds),
        "gate": dict(trained.gate),
        "settings": asdict(settings),
        "libraries": library_versions(CATALOG),
        "files": files,
    }
    manifest["sha256"] = manifest_digest(manifest)
    write_new(folder / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))


def library_versions(models: Iterable[str]) -> dict[str, str]:
    """The version of each library that decides what training these models gives, by name."""
    specs = [CATALOG[name] for name in models]
    needed = {library for spec in specs for library in spec.libraries}.union(SHARED_LIBRARIES)
    versions = {library: metadata.version(library) for library in needed}
    for extra in {extra for spec in specs for extra in spec.extras}:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[extra] = metadata.version(extra)
    return dict(sorted(versions.items()))
