"""Whether a version on disk is what a training gave: then nothing new was learned. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from stream_app.registry.manifest import TrainedSet


def is_same(manifest: Mapping[str, Any], trained: TrainedSet, models: Iterable[str]) -> bool:
    """Whether a version was learned up to the same tick and has the same bytes.

    The tick counts as well as the bytes: the age of what the models learned from follows from it.

    Args:
        manifest: of the version.
        trained: what a training gave.
        models: whose bytes are compared.
    """
    if manifest["data"]["to"] != trained.data_to:
        return False
    return all(_digest(manifest, name) == _sha256(trained.artifacts[name]) for name in models)


def _digest(manifest: Mapping[str, Any], model: str) -> Any:
    entry = manifest["files"].get(model)
    return entry.get("sha256") if isinstance(entry, dict) else None


def _sha256(artifact: bytes) -> str:
    return hashlib.sha256(artifact).hexdigest()
