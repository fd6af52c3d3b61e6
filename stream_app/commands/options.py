"""Options and JSON output that several sub-commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import click
import orjson

_NOT_FOR_TERMINALS: Final = re.compile("[\x7f-\x9f]")
"""Control characters that orjson does not escape, although a terminal may act on them."""

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file with settings. The environment and .env take precedence.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)


def print_json(value: Any) -> None:
    r"""Print a value as one line of JSON, with control characters escaped.

    >>> print_json({"symbol": "A\x9b"})
    {"symbol":"A\u009b"}
    """
    text = orjson.dumps(value).decode()
    click.echo(_NOT_FOR_TERMINALS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
