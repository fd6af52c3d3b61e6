"""`stream-app dashboard`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from stream_app.commands.options import config_option
from stream_app.settings import load_settings
from stream_app.terminal.logs import log_to_stderr


@click.command(
    epilog="""\b
Examples:
  stream-app dashboard
  DASHBOARD_PORT=8080 stream-app dashboard
  KAFKA_BOOTSTRAP_SERVERS=kafka1:9092 stream-app dashboard --config app.toml
"""
)
@config_option
def dashboard(config: Path | None) -> None:
    """Serve a page that shows what all workers do: health, predictions, scores, retrains, lag.

    Reads the topics, joins no group and commits nothing, so it never delays a worker. Listens on
    loopback unless DASHBOARD_HOST says otherwise; nobody has to log in. Runs until SIGTERM or
    Ctrl-C, also while the broker is away.
    """
    from stream_app.dashboard.run import run_dashboard

    settings = load_settings(config)
    log_to_stderr(settings.log_level, settings.log_format)
    asyncio.run(run_dashboard(settings, click.echo))
