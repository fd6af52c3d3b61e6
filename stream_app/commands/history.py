"""`stream-app history`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from stream_app.commands.options import config_option, print_json
from stream_app.settings import load_settings
from stream_app.terminal.cycles import history_sheet, waiting_line
from stream_app.terminal.logs import log_to_stderr
from stream_app.terminal.width import table_console
from stream_app.training.standing import standings


@click.command(
    epilog="""\b
Examples:
  stream-app history
  stream-app history --last 50 --json
"""
)
@click.option("--last", default=5, show_default=True, type=click.IntRange(1, 10_000))
@config_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON array of the cycles as the last line of stdout.",
)
def history(last: int, config: Path | None, as_json: bool) -> None:
    """Print the most recent retrain cycles of all workers, and which symbols wait for a training.

    Reads the retrain events topic.
    """
    from stream_app.kafka.history import read_history

    settings = load_settings(config)
    log_to_stderr("WARNING")
    events = asyncio.run(read_history(settings))
    if as_json:
        print_json(events[-last:])
        return
    if not events:
        click.echo(
            "No retrain has finished yet. The first one starts when a window has enough bars."
        )
        return
    table_console().print(history_sheet(events[-last:]))
    if waiting := waiting_line(standings(events).values(), datetime.now(UTC)):
        click.echo(waiting)
