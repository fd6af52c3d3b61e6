"""The files that others read: the AsyncAPI document, and the schemas in their open form."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from stream_app.contracts.asyncapi import document
from stream_app.contracts.forms import open_form
from stream_app.contracts.published import SUFFIX, message_schemas
from stream_app.errors import ContractError
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

_WIDTH = 120


def contract_files(topics: Topics, settings: Settings) -> dict[str, str]:
    """The files' contents by their paths below a folder."""
    files = {
        f"contracts/{name}{SUFFIX}": json.dumps(open_form(schema), indent=2) + "\n"
        for name, schema in message_schemas().items()
    }
    described = document(topics, settings)
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return {"asyncapi.yaml": f"# Made by `stream-app contracts export`.\n{text}", **files}


def write_files(folder: Path, topics: Topics, settings: Settings) -> list[Path]:
    """Write the files, over what is there; returns their paths. Blocks while it writes.

    Raises:
        ContractError: a file cannot be written.
    """
    written = []
    for name, text in contract_files(topics, settings).items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ContractError(
                f"{path}: cannot be written ({error.strerror or error}); give another folder"
            ) from None
        written.append(path)
    return written
