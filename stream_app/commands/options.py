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


def require_confirmation(question: str, done: str) -> None:
    """Ask at the terminal. Whatever is not a yes, such as the end of standard input, is a no.

    Args:
        question: with its question mark.
        done: what was not done to anything, such as "sent".

    Raises:
        click.ClickException: the answer is no.
    """
    try:
        confirmed = click.confirm(question, err=True)
    except click.Abort:  # the end of standard input, or Ctrl-C
        click.echo(err=True)  # so that the error does not follow the question on its line
        confirmed = False
    if not confirmed:
        raise click.ClickException(f"not confirmed, so nothing was {done}; use --yes to confirm")


class WholeSentences(click.Group):
    """A group whose help shows the first sentence of each command, however long it is."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the section of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, self.commands[name].get_short_help_str(_ANY_LENGTH))
                    for name in self.list_commands(ctx)
                ]
            )


_ANY_LENGTH: Final = 10_000
