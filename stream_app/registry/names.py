"""The names of versions, and of the states that they belong to. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from stream_app.errors import ArtifactError
from stream_app.messages.symbols import is_symbol, split_state_name

VERSION_PATTERN: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


def made_at(version: str) -> datetime | None:
    """When a version was made, by its name; None for a name that the registry did not give.

    >>> made_at("20261124T064929Z-056ca7e0").isoformat()
    '2026-11-24T06:49:29+00:00'
    """
    if not VERSION_PATTERN.fullmatch(version):
        return None
    try:
        return datetime.strptime(version[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def require_state_name(name: str, where: Path | str) -> None:
    """Refuse what is no state's name.

    Raises:
        ArtifactError: it is not.
    """
    if not is_symbol(split_state_name(name)[0]):
        raise ArtifactError(f"model registry {where}: {name[:80]!r} is not a symbol")


def require_version_name(version: str, where: Path | str) -> None:
    """Refuse what is no version's name.

    Raises:
        ArtifactError: it is not.
    """
    if not VERSION_PATTERN.fullmatch(version):
        raise ArtifactError(f"{where}: {version[:80]!r} is not the name of a version")
