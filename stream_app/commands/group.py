"""`stream-app group`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

import click

from stream_app.commands.options import WholeSentences, config_option, require_confirmation
from stream_app.settings import Settings, load_settings

logger = logging.getLogger(__name__)

_REACH_TIMEOUT_S: Final = 10.0
_ANSWER_TIMEOUT_S: Final = 30.0


@click.group(cls=WholeSentences, epilog="\b\nExample:\n  stream-app group reset")
def group() -> None:
    """Change which ticks the consumer group of the workers counts as answered."""


@group.command(epilog="\b\nExamples:\n  stream-app group reset\n  stream-app group reset --yes")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
def reset(config: Path | None, yes: bool) -> None:
    """Make the workers reprocess the whole ticks topic, from its beginning.

    Needed after the topic was recreated, or to have everything answered again. All workers of
    CONSUMER_GROUP must have stopped. Predictions of ticks that were answered before have the same
    ids; those of a topic that was recreated have others. See docs/accidents.md.
    """
    settings = load_settings(config)
    if not yes:
        question = f"Answer everything in the ticks topic again ({settings.consumer_group})?"
        require_confirmation(question, "changed")
    click.echo(asyncio.run(_reset(settings)))


async def _reset(settings: Settings) -> str:
    from aiokafka.errors import KafkaError

    from stream_app.errors import BrokerError
    from stream_app.kafka.connection import client_settings, wait_until_reachable
    from stream_app.kafka.group_reset import reset_group
    from stream_app.kafka.retries import until_answered
    from stream_app.kafka.topic_check import load_topics, require_topics

    topics = load_topics(settings.topics_file)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    client = client_settings(settings)
    await require_topics(topics, client)
    name = topics.ticks.name
    forgotten_within_s = settings.kafka_session_timeout_seconds + 5
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S + forgotten_within_s):
            # A broker that has just started has no coordinator for the group yet.
            waiting = await until_answered(
                lambda: reset_group(
                    client,
                    group=settings.consumer_group,
                    topic=name,
                    forgotten_within_s=forgotten_within_s,
                ),
                what=f"group {settings.consumer_group}: cannot be reset",
                logger=logger,
            )
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(
            f"group {settings.consumer_group}: the broker does not change it "
            f"({type(error).__name__}); nothing was changed"
        ) from None
    return f"{name}: group {settings.consumer_group} begins at the beginning, {waiting:,} ticks"
