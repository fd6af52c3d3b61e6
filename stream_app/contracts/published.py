"""Reads the schemas that this version and the last release have."""

from __future__ import annotations

import json
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from stream_app.contracts.forms import Schema
from stream_app.errors import ContractError
from stream_app.kafka.topics import Role

SUFFIX: Final = ".schema.json"
_HERE: Final = resources.files("stream_app.contracts")


def message_schemas() -> dict[str, Schema]:
    """The schemas of this version by name, as producers must keep them. Blocks while it reads.

    >>> list(message_schemas())[:3]
    ['bar', 'champion', 'drift']
    """
    return read_schemas(_HERE / "schemas")


def schema_name(role: Role) -> str | None:
    """The name of the schema of a topic's messages; None where these are no JSON of ours.

    It is the role, or the role less its plural's s.

    >>> schema_name("retrain_events"), schema_name("dead_letters")
    ('retrain-event', None)
    """
    name = role.replace("_", "-")
    for known in (name, name.removesuffix("s")):
        if (_HERE / "schemas" / f"{known}{SUFFIX}").is_file():
            return known
    return None


def last_release() -> tuple[str, dict[str, Schema]]:
    """The newest version in `released/`, and its schemas by name. Blocks while it reads."""
    releases = (_HERE / "released").iterdir()
    folder = max(releases, key=lambda item: [int(part) for part in item.name.split(".")])
    return folder.name, read_schemas(folder)


def read_schemas(folder: Traversable | Path) -> dict[str, Schema]:
    """The schemas in a folder by name, from files such as `tick.schema.json`.

    Raises:
        ContractError: there is none, or a file is no JSON object; one line that names it.
    """
    found: dict[str, Schema] = {}
    try:
        files = sorted(
            (item for item in folder.iterdir() if item.name.endswith(SUFFIX)),
            key=lambda item: item.name,
        )
        for file in files:
            schema = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(schema, dict):
                raise ContractError(f"schema {file}: not a JSON object")
            found[file.name.removesuffix(SUFFIX)] = schema
    except OSError as error:
        raise ContractError(
            f"schemas in {folder}: {error.strerror or error}; give a folder of *{SUFFIX} files"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"schema {file}: not JSON: {error}") from None
    if not found:
        raise ContractError(f"schemas in {folder}: none; give a folder of *{SUFFIX} files")
    return found
