"""`stream-app drift`."""

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
  stream-app drift
  DRIFT_FALSE_ALARM_DAYS=90 stream-app drift
  KAFKA_BOOTSTRAP_SERVERS=kafka1:9092 stream-app drift --config app.toml
"""
)
@config_option
def drift(config: Path | None) -> None:
    """Watch the scores, and publish an alarm when a symbol's behaviour changes.

    Runs until SIGTERM or Ctrl-C, also while the broker is away. Run one for all workers: it reads
    all partitions of the scores. A start goes through all scores that the topic holds.
    """
    from stream_app.drift.run import run_drift

    settings = load_settings(config)
    log_to_stderr(settings.log_level, settings.log_format)
    asyncio.run(run_drift(settings))
