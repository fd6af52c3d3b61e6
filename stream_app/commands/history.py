"""`stream-app history`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import click
from rich.console import Console

from stream_app.commands.options import config_option, json_option, log_to_stderr, print_json
from stream_app.messages.schemas import RetrainEvent
from stream_app.settings import Settings, load_settings
from stream_app.terminal.cycles import history_table

logger = logging.getLogger(__name__)

REACH_TIMEOUT_S = 10.0


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
    """Print the last retrain cycles, of all workers, from the retrain events topic."""
    settings = load_settings(config)
    log_to_stderr("WARNING")
    events = asyncio.run(read_history(settings))[-last:]
    if as_json:
        print_json(events)
        return
    if not events:
        click.echo("No retrain has ended yet: the first starts when a window has enough bars.")
        return
    console = Console()
    # Without a terminal to fit into, nothing need be cut.
    console = console if console.is_terminal else Console(width=160)
    console.print(history_table(events))


async def read_history(settings: Settings) -> list[RetrainEvent]:
    """The ended cycles in the topic, oldest first.

    Raises:
        BrokerError: no broker answers.
        TopicError: the topics are not there.
    """
    from stream_app.kafka.connection import client_settings, wait_until_reachable
    from stream_app.kafka.reader import open_reader, read_last
    from stream_app.kafka.topic_check import load_topics, require_topics
    from stream_app.messages.codec import decode_retrain_event

    topics = load_topics(settings.topics_file)
    await wait_until_reachable(settings, REACH_TIMEOUT_S)
    await require_topics(topics, client_settings(settings))
    async with open_reader(client_settings(settings)) as consumer:
        records = await read_last(consumer, topics.retrain_events, 100_000)
    events = []
    for record in records:
        try:
            events.append(decode_retrain_event(record.value or b""))
        except ValueError as error:
            place = f"{record.topic} partition {record.partition} offset {record.offset}"
            logger.warning("%s: %s; left out", place, error)
    return [event for event in events if event.state != "started"]
