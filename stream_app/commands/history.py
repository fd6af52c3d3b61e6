"""`stream-app history`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
from rich.console import Console

from stream_app.commands.options import config_option, json_option, print_json
from stream_app.settings import load_settings
from stream_app.terminal.cycles import history_table
from stream_app.terminal.logs import log_to_stderr


@click.command(
    epilog="""\b
Examples:
  stream-app history
  stream-app history --last 50 --json
"""
)
@click.option("--last", default=5, show_default=True, type=click.IntRange(1, 10_000))
@config_option
@json_option
def history(last: int, config: Path | None, as_json: bool) -> None:
    """Print the most recent retrain cycles of all workers, from the retrain events topic."""
    from stream_app.kafka.history import read_history

    settings = load_settings(config)
    log_to_stderr("WARNING")
    events = asyncio.run(read_history(settings))[-last:]
    if as_json:
        print_json(events)
        return
    if not events:
        click.echo(
            "No retrain has finished yet. The first one starts when a window has enough bars."
        )
        return
    console = Console()
    # Without a terminal there is no width to fit into.
    console = console if console.is_terminal else Console(width=160)
    console.print(history_table(events))
