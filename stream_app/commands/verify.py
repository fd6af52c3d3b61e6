"""`stream-app verify`."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import orjson

from stream_app.commands.checks import Answered, Check, members_check, training_checks
from stream_app.commands.number_type import FiniteRange
from stream_app.commands.options import config_option, json_option, print_json
from stream_app.settings import Settings, load_settings
from stream_app.terminal.logs import log_to_stderr
from stream_app.training.standing import standings

logger = logging.getLogger(__name__)

LOOK_BACK: Final = 2000
"""How many predictions of each partition are searched for the newest one of every symbol."""


@click.command(
    epilog="""\b
Examples:
  stream-app verify
  stream-app verify --wait 60 --json
"""
)
@click.option(
    "--wait",
    default=10.0,
    show_default=True,
    type=FiniteRange(0.1),
    help="Seconds to wait for a new prediction.",
)
@config_option
@json_option
def verify(wait: float, config: Path | None, as_json: bool) -> None:
    """Check a running system. Exit code 0 when every check passes, otherwise 1.

    Checks that every symbol had its initial training; that the last hourly retrain included the
    LSTM and met its target; that no symbol's last training failed, and none has waited longer than
    an interval; that every model with a weight takes part in the newest prediction of each symbol;
    that new predictions arrive; that workers read all partitions, and the group's commits belong to
    the topic.
    """
    settings = load_settings(config)
    log_to_stderr("ERROR")
    checks = asyncio.run(run_checks(settings, wait))
    passed = all(check.passed for check in checks)
    for check in checks:
        mark = (
            click.style("passed", fg="green") if check.passed else click.style("FAILED", fg="red")
        )
        click.echo(f"{mark}  {check.name}: {check.detail}", err=as_json)
    if as_json:
        print_json({"passed": passed, "checks": checks})
    sys.exit(0 if passed else 1)


async def run_checks(settings: Settings, wait_s: float) -> list[Check]:
    """All checks, in the order in which a starting system passes them. Waits for the broker."""
    from stream_app.kafka.history import read_history

    events = await read_history(settings)
    newest, coming = await _predictions(settings, wait_s)
    reading = await _reading(settings)
    interval = timedelta(hours=settings.retrain_interval_hours)
    return [
        *training_checks(events, interval, settings.retrain_target_seconds, datetime.now(UTC)),
        members_check(newest, standings(events), settings.ensemble_weights, looked_at=LOOK_BACK),
        coming,
        reading,
    ]


async def _predictions(settings: Settings, wait_s: float) -> tuple[dict[str, Answered], Check]:
    """The newest prediction of each symbol, sorted by time, and whether new ones arrive."""
    from stream_app.kafka.connection import client_settings
    from stream_app.kafka.reader import open_reader, read_last, topic_ends
    from stream_app.kafka.topic_check import load_topics

    topic = load_topics(settings.topics_file).predictions
    loop = asyncio.get_running_loop()
    async with open_reader(client_settings(settings)) as consumer:
        before = await topic_ends(consumer, topic)
        started, more = loop.time(), 0
        while not more and loop.time() - started < wait_s:
            await asyncio.sleep(0.2)
            after = await topic_ends(consumer, topic)
            more = sum(after.values()) - sum(before.values())
        took = f"{loop.time() - started:.1f} s"
        newest: dict[str, Answered] = {}
        for record in await read_last(consumer, topic, LOOK_BACK):
            if (answered := _answered(record.value, record.timestamp)) is not None:
                newest.pop(answered.symbol, None)  # so that the order is that of the last ones
                newest[answered.symbol] = answered
    detail = (
        f"{more} new within {took}"
        if more
        else f"none within {wait_s:g} s: no ticks come, or no worker answers"
    )
    return newest, Check("predictions keep coming", more > 0, detail)


async def _reading(settings: Settings) -> Check:
    from stream_app.kafka.connection import client_settings
    from stream_app.kafka.group import reading_problems
    from stream_app.kafka.retries import until_answered
    from stream_app.kafka.topic_check import load_topics

    topic = load_topics(settings.topics_file).ticks.name
    problems = await until_answered(
        lambda: reading_problems(
            client_settings(settings), group=settings.consumer_group, topic=topic
        ),
        what="the group cannot be looked at",
        logger=logger,
    )
    detail = "; ".join(problems) or f"all of {topic}, from where the group stands"
    return Check("all partitions are read", not problems, detail)


def _answered(value: bytes | None, appended_ms: int) -> Answered | None:
    """A record of the predictions topic; None if it is not a prediction."""
    try:
        message = orjson.loads(value or b"")
        return Answered(
            id=message["id"],
            symbol=message["symbol"],
            weights={name: member["weight"] for name, member in message["members"].items()},
            degraded=tuple(message["degraded"]),
            at=datetime.fromtimestamp(appended_ms / 1000, UTC),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
