"""Which symbol, cycle, version and partition a line of the log is about.

They are separate from the text, for `LOG_FORMAT=json`. Code within `log_fields`, including asyncio
tasks and threads that start there, logs with its fields; a single line can pass `extra`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

_FIELDS: Final[ContextVar[Mapping[str, Any]]] = ContextVar(
    "log_fields", default=MappingProxyType({})
)


@contextlib.contextmanager
def log_fields(
    *,
    symbol: str | None = None,
    cycle: str | None = None,
    version: str | None = None,
    partition: int | None = None,
) -> Iterator[None]:
    """Add these fields, and those of enclosing blocks, to every line of the block."""
    own = {"symbol": symbol, "cycle": cycle, "version": version, "partition": partition}
    given = {name: value for name, value in own.items() if value is not None}
    token = _FIELDS.set({**_FIELDS.get(), **given})
    try:
        yield
    finally:
        _FIELDS.reset(token)


class WithFields(logging.Filter):
    """Adds the fields to each record; those of its `extra` come first."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        for name, value in _FIELDS.get().items():
            record.__dict__.setdefault(name, value)
        return True
