"""Options and logging that several sub-commands share."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

import click
import orjson

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file of settings; the environment and .env go before it.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)


def log_to_stderr(level: str) -> None:
    """Log to standard error, one line a record, times in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Utc("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Both libraries tell of their inner life at INFO and of each lost connection at ERROR.
    logging.getLogger("aiokafka").setLevel(max(logging.WARNING, logging.getLevelName(level)))
    # Faust's services log under the name of the module that their class is in.
    for name in ("faust", "mode", "stream_app.transport"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))


class _Utc(logging.Formatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    @staticmethod
    def converter(timestamp: float | None) -> time.struct_time:
        return time.gmtime(timestamp)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON on standard output."""
    click.echo(orjson.dumps(value).decode())
