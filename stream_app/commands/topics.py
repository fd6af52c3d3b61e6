"""`stream-app topics`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import click

from stream_app.commands.options import WholeSentences, config_option
from stream_app.errors import TopicError
from stream_app.kafka.connection import client_settings, wait_until_reachable
from stream_app.kafka.strimzi import as_yaml, kafka_topics
from stream_app.kafka.topic_check import (
    ApplyReport,
    CheckReport,
    Topics,
    apply_topics,
    check_topics,
    load_topics,
)
from stream_app.kafka.widening import Widening, plan_widening
from stream_app.settings import Settings, load_settings

_REACH_TIMEOUT_S: Final = 10.0


@click.group(
    cls=WholeSentences,
    epilog="""\b
Examples:
  stream-app topics apply
  KAFKA_BOOTSTRAP_SERVERS=kafka1:9092 stream-app topics check
  stream-app topics export --strimzi --cluster main | kubectl apply -n kafka -f -
""",
)
def topics() -> None:
    """Create the topics of topics.yaml, compare them with the broker, or export them.

    TOPICS_FILE names the file; the default is topics.yaml in the working directory.
    """


@topics.command(epilog="\b\nExample:\n  stream-app topics apply")
@config_option
def apply(config: Path | None) -> None:
    """Create missing topics, raise partition counts and change configs. Deletes nothing.

    Before it adds partitions to the ticks, it prints which symbols move and what waits.

    Exit code 0 when the broker's topics match the file afterwards, 2 when the broker refuses a
    change; its reason is printed.
    """
    applied, checked = asyncio.run(_apply(load_settings(config)))
    for line in applied.changes or ("nothing to change",):
        click.echo(line)
    _tell_skipped(checked)
    _refuse(applied.refusals)


@topics.command(epilog="\b\nExample:\n  stream-app topics check")
@config_option
def check(config: Path | None) -> None:
    """Compare partitions, replication and configs. Changes nothing.

    Exit code 0 when they match the file, 2 when something differs.
    """
    checked = asyncio.run(_check(load_settings(config)))
    _tell_skipped(checked)
    _refuse([mismatch.message for mismatch in checked.mismatches])
    click.echo("all topics match the file")


@topics.command(
    epilog="\b\nExample:\n"
    "  stream-app topics export --strimzi --cluster main | kubectl apply -n kafka -f -"
)
@click.option("--strimzi", is_flag=True, required=True, help="As Strimzi's KafkaTopic resources.")
@click.option("--cluster", required=True, help="The name of Strimzi's Kafka resource.")
@config_option
def export(strimzi: bool, cluster: str, config: Path | None) -> None:  # noqa: ARG001 - the one form
    """Print the topics as YAML for another tool. Needs no broker.

    Manage the topics with only one of the two: Strimzi's operator or `topics apply`.
    """
    wanted = load_topics(load_settings(config).topics_file)
    click.echo(as_yaml(kafka_topics(wanted, cluster)), nl=False)


async def _apply(settings: Settings) -> tuple[ApplyReport, CheckReport]:
    wanted = load_topics(settings.topics_file)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    client = client_settings(settings)
    plan = await plan_widening(wanted, client, settings.window_bars)
    for line in await _said(plan, wanted, client, settings) if plan is not None else ():
        click.echo(line)
    return await apply_topics(wanted, client), await check_topics(wanted, client)


async def _said(
    plan: Widening, wanted: Topics, client: dict[str, Any], settings: Settings
) -> list[str]:
    if not plan.moving:
        return plan.lines(0.0)
    # they take a second to import
    from stream_app.moving.pace import measured_pace
    from stream_app.worker.lag import LOOK_EVERY_S

    pace = await measured_pace(wanted, client, settings, plan)
    return plan.lines(pace.pause_s(plan, noticed_s=LOOK_EVERY_S))


async def _check(settings: Settings) -> CheckReport:
    wanted = load_topics(settings.topics_file)
    await wait_until_reachable(settings, _REACH_TIMEOUT_S)
    return await check_topics(wanted, client_settings(settings))


def _tell_skipped(checked: CheckReport) -> None:
    if checked.skipped:
        listed = ", ".join(checked.skipped)
        click.echo(f"not compared, because the broker does not report them: {listed}", err=True)


def _refuse(problems: tuple[str, ...] | list[str]) -> None:
    """Print each problem on a line; the last one is the error that ends the command."""
    for line in problems[:-1]:
        click.echo(line, err=True)
    if problems:
        raise TopicError(problems[-1])
