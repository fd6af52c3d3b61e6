"""`stream-app top`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from stream_app.commands.options import config_option
from stream_app.settings import load_settings
from stream_app.terminal.logs import log_nowhere


@click.command(
    epilog="""\b
Examples:
  stream-app top
  KAFKA_BOOTSTRAP_SERVERS=kafka1:9092 stream-app top --config app.toml
"""
)
@config_option
def top(config: Path | None) -> None:
    """Show in this terminal what all workers do: what `stream-app dashboard` shows in a browser.

    Reads the topics, joins no group and commits nothing, so it never delays a worker. The last
    line lists the keys; q and Ctrl-C end it. Keeps running while the broker is away.
    """
    from stream_app.top.run import is_screen, run_top

    if not is_screen():
        raise click.ClickException(
            "top needs a terminal on standard input, output and error; without one, "
            "`stream-app verify` prints whether the system works"
        )
    settings = load_settings(config)
    log_nowhere()
    if code := asyncio.run(run_top(settings)):
        sys.exit(code)
