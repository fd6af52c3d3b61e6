"""`stream-app dlq`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream_app.commands.options import (
    WholeSentences,
    config_option,
    json_option,
    print_json,
    require_confirmation,
)
from stream_app.dead_letters.letter import Filter, Letter
from stream_app.messages.ticks import REASONS
from stream_app.settings import Settings, load_settings
from stream_app.terminal.letters import content, described, letter_lines, listing_sheet
from stream_app.terminal.logs import log_to_stderr
from stream_app.terminal.width import table_console

if TYPE_CHECKING:
    from stream_app.dead_letters.replay import Listing, Plan

reason_option = click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice(list(REASONS)),
    help="Only letters with this reason. Can be repeated.",
)
partition_option = click.option(
    "--partition", type=click.IntRange(0), metavar="P", help="Only letters in this partition."
)
from_option = click.option(
    "--from",
    "first",
    type=click.IntRange(0),
    default=0,
    metavar="OFFSET",
    help="Only letters from this dead-letter offset on.",
)
to_option = click.option(
    "--to",
    "last",
    type=click.IntRange(0),
    metavar="OFFSET",
    help="Only letters up to and including this dead-letter offset.",
)


@click.group(
    cls=WholeSentences,
    epilog="""\b
Examples:
  stream-app dlq list --reason bad_price
  stream-app dlq show 2 1041
  stream-app dlq replay --reason future_time --dry-run
""",
)
def dlq() -> None:
    """Show records that were not valid ticks, and send them again."""


@dlq.command(
    "list",
    epilog="""\b
Examples:
  stream-app dlq list
  stream-app dlq list --reason bad_price --reason bad_size --last 100 --json
""",
)
@reason_option
@partition_option
@from_option
@to_option
@click.option(
    "--last", "newest", default=20, show_default=True, type=click.IntRange(1, 100_000), metavar="N"
)
@config_option
@json_option
def list_letters(
    *,
    reasons: tuple[str, ...],
    partition: int | None,
    first: int,
    last: int | None,
    newest: int,
    config: Path | None,
    as_json: bool,
) -> None:
    """List the most recent dead letters and count all of them by reason."""
    settings = load_settings(config)
    log_to_stderr("WARNING")
    _check_partition(settings, partition)
    wanted = _filter(reasons, partition, first, last)
    listing = asyncio.run(_list(settings, wanted, newest))
    if as_json:
        total = sum(listing.counts.values())
        letters = [described(letter) for letter in listing.letters]
        print_json({"total": total, "counts": listing.counts, "letters": letters})
    elif not listing.letters:
        click.echo("No dead letter matches.")
    else:
        table_console().print(listing_sheet(listing))


@dlq.command(epilog="\b\nExample:\n  stream-app dlq show 2 1041")
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@config_option
@json_option
def show(partition: int, offset: int, config: Path | None, as_json: bool) -> None:
    """Show a dead letter: its headers and the refused record.

    PARTITION and OFFSET are its place in the dead-letter topic, as `list` shows them. UTF-8 is
    shown as text with unprintable characters escaped, other bytes as a hex dump.
    """
    settings = load_settings(config)
    log_to_stderr("WARNING")
    _check_partition(settings, partition)
    letter = asyncio.run(_show(settings, partition, offset))
    if as_json:
        print_json(described(letter) | content(letter))
        return
    for line in letter_lines(letter):
        click.echo(line)


@dlq.command(
    epilog="""\b
Examples:
  stream-app dlq replay --reason future_time --dry-run
  MAX_FUTURE_SECONDS=3600 stream-app dlq replay --reason future_time
  stream-app dlq replay --partition 2 --from 1000 --to 1999 --yes
"""
)
@reason_option
@partition_option
@from_option
@to_option
@click.option(
    "--all", "send_all", is_flag=True, help="Also send letters that would be refused again."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
@json_option
def replay(
    *,
    reasons: tuple[str, ...],
    partition: int | None,
    first: int,
    last: int | None,
    send_all: bool,
    dry_run: bool,
    yes: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Send dead letters to the ticks topic again, after the feed or a setting was fixed.

    Each letter is checked again with the settings of this command, which should be those of the
    worker. Only valid ticks are sent: the original key and bytes, to the original partition, in the
    original order. A header `replayed_from` names the letter. Letters stay in the topic, so a
    second replay sends them again; use --from to leave out those already sent. A tick that is
    older than its symbol's newest ticks is answered as a late one.
    """
    settings = load_settings(config)
    log_to_stderr("WARNING")
    _check_partition(settings, partition)
    wanted = _filter(reasons, partition, first, last)

    def agreed(plan: Plan) -> bool:
        _tell_left_out(plan)
        if dry_run or not plan.to_send:
            return False
        if not yes:
            require_confirmation(f"Send {_letters(plan.to_send)} to the ticks topic?", "sent")
        return True

    plan, sent = asyncio.run(_replay(settings, wanted, send_all, agreed))
    if as_json:
        print_json({"dry_run": dry_run, "sent": sent, "to_send": plan.to_send, **plan.counts})
    elif dry_run:
        click.echo(f"{_letters(plan.to_send)} would be sent")
    else:
        click.echo(f"{_letters(sent)} sent and acknowledged")


def _filter(
    reasons: tuple[str, ...], partition: int | None, first: int, last: int | None
) -> Filter:
    return Filter(reasons=frozenset(reasons), partition=partition, first=first, last=last)


async def _list(settings: Settings, wanted: Filter, newest: int) -> Listing:
    from stream_app.dead_letters.replay import open_dead_letters

    async with open_dead_letters(settings) as letters:
        return await letters.listing(wanted, newest)


async def _show(settings: Settings, partition: int, offset: int) -> Letter:
    from stream_app.dead_letters.replay import open_dead_letters

    async with open_dead_letters(settings) as letters:
        found = await letters.letter(partition, offset)
        if found is None:
            end = (await letters.ends(Filter(partition=partition)))[partition]
            last = f"ends at offset {end - 1}" if end else "is empty"
            raise click.ClickException(
                f"{letters.topic}: no letter at partition {partition} offset {offset}; the "
                f"partition {last}; `stream-app dlq list` shows the newest ones"
            )
        return found


async def _replay(
    settings: Settings, wanted: Filter, send_all: bool, agreed: Callable[[Plan], bool]
) -> tuple[Plan, int]:
    from stream_app.dead_letters.replay import open_dead_letters

    async with open_dead_letters(settings) as letters:
        now_ms = time.time_ns() // 1_000_000
        plan = await letters.plan(wanted, now_ms=now_ms, send_all=send_all)
        return plan, await letters.replay(plan) if agreed(plan) else 0


def _check_partition(settings: Settings, partition: int | None) -> None:
    from stream_app.kafka.topic_check import load_topics

    count = load_topics(settings.topics_file).dead_letters.partitions
    if partition is not None and partition >= count:
        raise click.ClickException(
            f"partition {partition}: the dead letters have partitions 0 to {count - 1}"
        )


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count:,} letters"


def _tell_left_out(plan: Plan) -> None:
    from stream_app.dead_letters.replay import VERDICTS

    for verdict, meaning in VERDICTS.items():
        count = plan.counts[verdict]
        is_sent = verdict == "sendable" or (verdict == "refused_again" and plan.send_all)
        if count and not is_sent:
            remedy = "; --all sends them" if verdict == "refused_again" else ""
            click.echo(f"{count:,} left out: {meaning}{remedy}", err=True)
