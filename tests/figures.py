"""Figures that a chaos run writes down, for docs/reliability.md."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

LONG = bool(os.environ.get("STREAM_APP_CHAOS"))
"""Whether this is `make chaos`, with the long forms, and not `make test`."""


def note(what: str, asked: str, measured: str) -> None:
    """Write a figure down where `make chaos` wants it; nothing in `make test`."""
    path = os.environ.get("STREAM_APP_CHAOS_FIGURES")
    if path:
        with Path(path).open("ab") as file:
            line = {"what": what, "asked": asked, "measured": measured}
            file.write(orjson.dumps(line) + b"\n")
