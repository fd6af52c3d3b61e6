"""The model registry: a folder of versions for each symbol, written whole or not at all.

    DATA_DIR/models/SYMBOL/VERSION/manifest.json + one artifact a model
    DATA_DIR/models/SYMBOL/champion.json          the version that serves

A version is written beside its place and renamed into it; the champion file is replaced by one
rename. Reading trusts nothing: file names must be the expected ones, each SHA-256 must match,
the artifacts are ONNX or JSON, never pickles.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from stream_app.ensemble import ModelSet
from stream_app.errors import ArtifactError
from stream_app.models.base import ModelSettings
from stream_app.models.catalog import FORECASTERS, LOADERS
from stream_app.models.kalman import KalmanMember

logger = logging.getLogger(__name__)

KEPT_VERSIONS: Final = 5
"""How many versions of a symbol stay on disk: enough to look back a few hours."""
LIBRARIES: Final = (
    "filterpy",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxmltools",
    "onnxruntime",
    "scikit-learn",
    "skl2onnx",
    "torch",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSet:
    """What a retrain hands over for one symbol."""

    symbol: str
    artifacts: Mapping[str, bytes]
    """By model name."""
    seconds: Mapping[str, float]
    rows: int
    data_from: int
    """Event time of the first bar's opening, epoch ms."""
    data_to: int
    """Event time of the last tick learned from, epoch ms."""


class Registry:
    """The versions of every symbol below one folder. All methods block on the disk."""

    def __init__(self, data_dir: Path, settings: ModelSettings) -> None:
        self._root = data_dir / "models"
        self._settings = settings

    def publish(self, trained: TrainedSet, *, now: datetime) -> ModelSet:
        """Write a version, load it back, and make it the symbol's champion.

        Raises:
            ArtifactError: the disk refused, or what was written cannot be loaded; the champion
                stays the one before.
        """
        digest = hashlib.sha256(b"".join(trained.artifacts[name] for name in LOADERS)).hexdigest()
        version = f"{now:%Y%m%dT%H%M%SZ}-{digest[:8]}"
        folder = self._folder(trained.symbol)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder))
            try:
                self._write_version(staging, trained, version, now)
                staging.rename(folder / version)
            except OSError:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            models = self.load(trained.symbol, version)
            _write(folder / ".champion.tmp", orjson.dumps({"version": version}))
            (folder / ".champion.tmp").replace(folder / "champion.json")
        except OSError as error:
            raise ArtifactError(
                f"model registry {folder}: {error.strerror}; free or unlock the disk, "
                "the serving models go on"
            ) from None
        self._prune(folder, keep=version)
        return models

    def champion(self, symbol: str) -> ModelSet | None:
        """The symbol's serving version, or the newest one before it that is intact, or None."""
        folder = self._folder(symbol)
        if not folder.is_dir():
            return None
        candidates = sorted(self._versions(folder), reverse=True)
        try:
            named = str(orjson.loads((folder / "champion.json").read_bytes())["version"])
            candidates = [named, *(name for name in candidates if name < named)]
        except (OSError, KeyError, TypeError, orjson.JSONDecodeError):
            logger.warning("model registry %s: champion.json cannot be read", folder)
        for version in candidates:
            try:
                return self.load(symbol, version)
            except ArtifactError as error:
                logger.warning("%s; trying the version before it", error)
        return None

    def load(self, symbol: str, version: str) -> ModelSet:
        """Load one version, checking all of it.

        Raises:
            ArtifactError: which file is missing, altered or of another kind, and what follows.
        """
        folder = self._folder(symbol) / quote(version, safe="")
        manifest = _read_manifest(folder, symbol)
        wanted = orjson.loads(orjson.dumps(asdict(self._settings)))
        if manifest["settings"] != wanted:
            changed = [key for key in wanted if manifest["settings"].get(key) != wanted[key]]
            raise ArtifactError(
                f"{folder}: trained with another {', '.join(changed)}; the next retrain replaces it"
            )
        members = {}
        for name, loader in LOADERS.items():
            artifact = _read_artifact(folder, name, manifest["files"])
            members[name] = loader(artifact, self._settings)
        kalman = members["kalman"]
        assert isinstance(kalman, KalmanMember)  # noqa: S101 - the catalog's own type
        return ModelSet(
            version=version,
            trained_to_ts=int(manifest["data"]["to"]),
            members=members,
            noise=kalman.noise,
        )

    def _folder(self, symbol: str) -> Path:
        # Symbols are validated at the boundary; quoting takes the slash, and no symbol starts
        # with a dot, so a symbol is always one folder below the root.
        return self._root / quote(symbol, safe="")

    def _write_version(
        self, folder: Path, trained: TrainedSet, version: str, now: datetime
    ) -> None:
        files = {}
        for name in LOADERS:
            artifact = trained.artifacts[name]
            file = _file_name(name)
            _write(folder / file, artifact)
            files[name] = {
                "file": file,
                "bytes": len(artifact),
                "sha256": hashlib.sha256(artifact).hexdigest(),
            }
        manifest = {
            "version": version,
            "symbol": trained.symbol,
            "created": now.isoformat(),
            "data": {"from": trained.data_from, "to": trained.data_to, "rows": trained.rows},
            "seconds": dict(trained.seconds),
            "settings": asdict(self._settings),
            "libraries": {name: library_version(name) for name in LIBRARIES},
            "files": files,
        }
        _write(folder / "manifest.json", orjson.dumps(manifest, option=orjson.OPT_INDENT_2))

    @staticmethod
    def _versions(folder: Path) -> list[str]:
        return [path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]

    def _prune(self, folder: Path, *, keep: str) -> None:
        older = sorted(name for name in self._versions(folder) if name != keep)
        for name in older[: -(KEPT_VERSIONS - 1)]:
            shutil.rmtree(folder / name, ignore_errors=True)


def _file_name(model: str) -> str:
    return f"{model}.{FORECASTERS[model].suffix}"


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_manifest(folder: Path, symbol: str) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = orjson.loads(path.read_bytes())
        if manifest["symbol"] != symbol:
            raise ArtifactError(f"{path}: is of symbol {manifest['symbol']!r}, not {symbol!r}")
        if not isinstance(manifest["settings"], dict) or not isinstance(manifest["files"], dict):
            raise TypeError
        int(manifest["data"]["to"])
    except OSError as error:
        raise ArtifactError(f"{path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise ArtifactError(f"{path}: not a manifest") from None
    return dict(manifest)


def _read_artifact(folder: Path, name: str, files: Mapping[str, Any]) -> bytes:
    expected = _file_name(name)
    entry = files.get(name)
    if not isinstance(entry, dict) or entry.get("file") != expected:
        raise ArtifactError(f"{folder / 'manifest.json'}: {name} must be the file {expected}")
    try:
        artifact = (folder / expected).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{folder / expected}: {error.strerror}") from None
    if hashlib.sha256(artifact).hexdigest() != entry.get("sha256"):
        raise ArtifactError(f"{folder / expected}: altered, its SHA-256 is not the manifest's")
    return artifact
