"""The log of a command: on standard error, one line per record and one line per outage.

As text, or as JSON by python-json-logger: a formatter of the standard library's `logging`, so the
lines and the loggers of the streaming libraries are the same in both.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Final

from pythonjsonlogger.orjson import OrjsonFormatter

from stream_app.environment.types import LogFormat
from stream_app.ops.log_fields import WithFields

LIBRARIES: Final = ("aiokafka", "faust", "mode")
QUIET_S: Final = 60.0


def log_to_stderr(level: str, form: LogFormat = "text") -> None:
    """Log to standard error, one line per record, times in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json() if form == "json" else _text())
    handler.addFilter(WithFields())
    handler.addFilter(OneLineAnOutage())
    handler.addFilter(one_line_a_connection)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # At INFO they log internals.
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


def log_nowhere() -> None:
    """Drop every line: one would break the screen that a command draws."""
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)


def one_line_a_connection(record: logging.LogRecord) -> bool:
    """Say in one line how a connection ended: its traceback lies within the client."""
    if record.name == "aiokafka.conn" and record.exc_info:
        record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]!r}", ()
        record.exc_info = None
    return True


class OneLineAnOutage(logging.Filter):
    """Drops what the streaming libraries repeat many times a second while a broker is away.

    Their first record passes. The next one passes only after a minute without any.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last = -QUIET_S

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to print the record."""
        if not record.name.startswith(LIBRARIES) or record.levelno >= logging.CRITICAL:
            return True
        now, last = self._clock(), self._last
        self._last = now
        return now - last >= QUIET_S


def _text() -> logging.Formatter:
    return _Utc("%(asctime)s %(levelname)-7s %(name)s: %(message)s")


def _json() -> logging.Formatter:
    """An object a line: the time, the level, the logger, the text, and the fields that it has."""
    return OrjsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp=True,
    )


class _Utc(logging.Formatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    @staticmethod
    def converter(timestamp: float | None) -> time.struct_time:
        return time.gmtime(timestamp)
