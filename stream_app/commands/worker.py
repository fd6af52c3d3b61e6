"""`stream-app worker`."""

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
  stream-app worker
  KAFKA_BOOTSTRAP_SERVERS=kafka1:9092,kafka2:9092 stream-app worker
  RETRAIN_INTERVAL_HOURS=0.5 DATA_DIR=/var/lib/stream-app stream-app worker --config app.toml
"""
)
@config_option
def worker(config: Path | None) -> None:
    """Consume ticks, publish predictions, retrain every hour.

    Runs until SIGTERM or Ctrl-C. It then answers the ticks that it has read, commits and leaves
    the group. Workers with the same CONSUMER_GROUP share the partitions. Exit code 0 after a
    signal, 1 after a fault, 2 when it cannot start, 3 when it was stuck.
    """
    from stream_app.app import run_worker

    settings = load_settings(config)
    log_to_stderr(settings.log_level, settings.log_format)
    asyncio.run(run_worker(settings))
