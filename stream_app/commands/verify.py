"""`stream-app verify`."""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from stream_app.commands.options import config_option, json_option, print_json
from stream_app.messages.schemas import RetrainEvent
from stream_app.models.catalog import CATALOG
from stream_app.settings import Settings, load_settings
from stream_app.terminal.logs import log_to_stderr

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold on a running system."""

    name: str
    passed: bool
    detail: str


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
    type=click.FloatRange(0.1),
    help="Seconds within which a new prediction must come.",
)
@config_option
@json_option
def verify(wait: float, config: Path | None, as_json: bool) -> None:
    """Check a running system: exit code 0 when all holds, 1 when something does not.

    The initial training completed; the last hourly retrain included the LSTM and kept its
    target; all four models have a weight in the newest prediction; predictions keep coming;
    workers read all partitions, and the group's commits belong to this topic.
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
    """All checks, in the order in which a system comes to pass them."""
    from stream_app.kafka.history import read_history

    events = await read_history(settings)
    newest, coming = await _predictions(settings, wait_s)
    read = await _reading(settings)
    return [
        *_training_checks(events, settings.retrain_target_seconds),
        _members(newest),
        coming,
        read,
    ]


def _training_checks(events: list[RetrainEvent], target_s: float) -> list[Check]:
    done = [event for event in events if event.state == "succeeded" and event.trigger == "initial"]
    initial = Check(
        "initial training",
        bool(done),
        f"completed at {done[0].timestamp}" if done else "no initial cycle has succeeded yet",
    )
    scheduled = [event for event in events if event.trigger == "scheduled"]
    if not events:
        nothing = "no cycle has ended yet"
        return [initial, Check("LSTM included", False, nothing), Check("in time", False, nothing)]
    last = (scheduled or events)[-1]
    which = f"the last {'hourly' if scheduled else last.trigger} retrain"
    if not scheduled:
        which += " (no hourly one has been due yet)"
    return [
        initial,
        Check(
            "LSTM included",
            last.lstm_included and last.state == "succeeded",
            f"{which} {last.state}, {'with' if last.lstm_included else 'without'} the LSTM",
        ),
        Check(
            "in time",
            last.duration_seconds <= target_s,
            f"{which} took {last.duration_seconds:.1f} s; the target is {target_s:g} s",
        ),
    ]


def _members(newest: dict[str, Any] | None) -> Check:
    name = "all four models"
    if newest is None:
        return Check(name, False, "there is no prediction yet")
    weights = {model: newest["members"].get(model, {}).get("weight", 0) for model in CATALOG}
    shown = ", ".join(f"{model} {weight:.2f}" for model, weight in weights.items())
    why = f" ({'; '.join(newest['degraded'])})" if newest["degraded"] else ""
    return Check(name, all(weights.values()), f"weights in {newest['id']}: {shown}{why}")


async def _predictions(settings: Settings, wait_s: float) -> tuple[dict[str, Any] | None, Check]:
    from stream_app.kafka.connection import client_settings
    from stream_app.kafka.reader import open_reader, read_last
    from stream_app.kafka.topic_check import load_topics

    topic = load_topics(settings.topics_file).predictions
    loop = asyncio.get_running_loop()
    async with open_reader(client_settings(settings)) as consumer:
        before = await read_last(consumer, topic, 1)
        started, more = loop.time(), 0
        while not more and loop.time() - started < wait_s:
            await asyncio.sleep(0.2)
            after = await read_last(consumer, topic, 1)
            more = sum(_ends(after)) - sum(_ends(before))
    newest = orjson.loads(after[-1].value or b"null") if after else None
    took = f"{loop.time() - started:.1f} s"
    detail = f"{more} new within {took}" if more else f"none within {wait_s:g} s"
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


def _ends(records: list[Any]) -> list[int]:
    return [record.offset + 1 for record in records]
