"""Options and JSON output that several sub-commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click
import orjson

_NOT_FOR_TERMINALS: Final = re.compile("[\x7f-\x9f]")
"""What orjson leaves as it is although terminals may act on it."""

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file of settings; the environment and .env go before it.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON without anything that a terminal would act on."""
    text = orjson.dumps(value).decode()
    click.echo(_NOT_FOR_TERMINALS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
