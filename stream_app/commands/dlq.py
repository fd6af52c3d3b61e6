"""`stream-app dlq`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_app.codec import REASONS
from stream_app.commands.options import config_option, json_option, log_to_stderr
from stream_app.settings import Settings, load_settings

if TYPE_CHECKING:
    from stream_app.dead_letters import Filter, Letter, Listing, Plan

_DUMP_COLUMNS: Final = 16
_NOT_FOR_TERMINALS: Final = re.compile("[\x7f-\x9f]")
"""What orjson leaves as it is although terminals may act on it."""

reason_option = click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice(list(REASONS)),
    help="Only letters of this reason. Repeatable.",
)
partition_option = click.option(
    "--partition", type=click.IntRange(0), metavar="P", help="Only letters of this partition."
)
from_option = click.option(
    "--from",
    "first",
    type=click.IntRange(0),
    default=0,
    metavar="OFFSET",
    help="Only letters from this offset of the dead letters on.",
)
to_option = click.option(
    "--to",
    "last",
    type=click.IntRange(0),
    metavar="OFFSET",
    help="Only letters up to this offset of the dead letters, itself included.",
)


@click.group(
    epilog="""\b
Examples:
  stream-app dlq list --reason bad_price
  stream-app dlq show 2 1041
  stream-app dlq replay --reason future_time --dry-run
"""
)
def dlq() -> None:
    """Look at the records that were no valid ticks, and re-feed them."""


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
    """List the last dead letters, and count all of them by reason."""
    settings = load_settings(config)
    log_to_stderr("WARNING")
    _check_partition(settings, partition)
    wanted = _filter(reasons, partition, first, last)
    listing = asyncio.run(_list(settings, wanted, newest))
    if as_json:
        total = sum(listing.counts.values())
        letters = [_described(letter) for letter in listing.letters]
        _print_json({"total": total, "counts": listing.counts, "letters": letters})
    elif not listing.letters:
        click.echo("There is no such dead letter.")
    else:
        Console().print(_table(listing))


@dlq.command(epilog="\b\nExample:\n  stream-app dlq show 2 1041")
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@config_option
@json_option
def show(partition: int, offset: int, config: Path | None, as_json: bool) -> None:
    """Show a dead letter: its headers, and the record that was refused.

    PARTITION and OFFSET are its place among the dead letters, as `list` shows them. The bytes are
    shown as text where they are UTF-8, with what is not printable escaped, else as a hex dump.
    """
    settings = load_settings(config)
    log_to_stderr("WARNING")
    _check_partition(settings, partition)
    letter = asyncio.run(_show(settings, partition, offset))
    if as_json:
        _print_json(_described(letter) | _content(letter))
        return
    for line in _shown(letter):
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
    "--all", "send_all", is_flag=True, help="Also letters that would be refused once more."
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
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
    """Re-feed dead letters to the ticks topic, after the feed or a setting was mended.

    Each letter is judged again with this command's settings, which should be the worker's, and
    only what would be a valid tick now is sent: the original key and bytes, to the original
    partition, in the original order. A header `replayed_from` names the letter. Letters stay
    where they are, so a second replay sends them a second time; --from leaves out what was sent
    before. A tick that its symbol has gone past meanwhile is answered as a late one.
    """
    settings = load_settings(config)
    log_to_stderr("WARNING")
    _check_partition(settings, partition)
    wanted = _filter(reasons, partition, first, last)

    def agreed(plan: Plan) -> bool:
        _tell_left_out(plan)
        if dry_run or not plan.to_send:
            return False
        return yes or _confirmed(plan)

    plan, sent = asyncio.run(_replay(settings, wanted, send_all, agreed))
    if as_json:
        _print_json({"dry_run": dry_run, "sent": sent, "to_send": plan.to_send, **plan.counts})
    elif dry_run:
        click.echo(f"{_letters(plan.to_send)} would be sent")
    else:
        click.echo(f"{_letters(sent)} sent and acknowledged")


def _filter(
    reasons: tuple[str, ...], partition: int | None, first: int, last: int | None
) -> Filter:
    from stream_app.dead_letters import Filter

    return Filter(reasons=frozenset(reasons), partition=partition, first=first, last=last)


async def _list(settings: Settings, wanted: Filter, newest: int) -> Listing:
    from stream_app.dead_letters import open_dead_letters

    async with open_dead_letters(settings) as letters:
        return await letters.listing(wanted, newest)


async def _show(settings: Settings, partition: int, offset: int) -> Letter:
    from stream_app.dead_letters import Filter, open_dead_letters

    async with open_dead_letters(settings) as letters:
        found = await letters.letter(partition, offset)
        if found is None:
            end = (await letters.ends(Filter(partition=partition)))[partition]
            raise click.ClickException(
                f"{letters.topic}: no letter at partition {partition} offset {offset}; the "
                f"partition ends at offset {end - 1}; `stream-app dlq list` shows the last ones"
            )
        return found


async def _replay(
    settings: Settings, wanted: Filter, send_all: bool, agreed: Callable[[Plan], bool]
) -> tuple[Plan, int]:
    from stream_app.dead_letters import open_dead_letters

    async with open_dead_letters(settings) as letters:
        now_ms = time.time_ns() // 1_000_000
        plan = await letters.plan(wanted, now_ms=now_ms, send_all=send_all)
        return plan, await letters.replay(plan) if agreed(plan) else 0


def _check_partition(settings: Settings, partition: int | None) -> None:
    from stream_app.topics import load_topics

    count = load_topics(settings.topics_file).dead_letters.partitions
    if partition is not None and partition >= count:
        raise click.ClickException(
            f"partition {partition}: the dead letters have partitions 0 to {count - 1}"
        )


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count:,} letters"


def _tell_left_out(plan: Plan) -> None:
    from stream_app.dead_letters import VERDICTS

    for verdict, meaning in VERDICTS.items():
        count = plan.counts[verdict]
        is_sent = verdict == "sendable" or (verdict == "refused_again" and plan.send_all)
        if count and not is_sent:
            remedy = "; --all sends them" if verdict == "refused_again" else ""
            click.echo(f"{count:,} left out: {meaning}{remedy}", err=True)


def _confirmed(plan: Plan) -> bool:
    question = f"Send {_letters(plan.to_send)} to the ticks topic?"
    with contextlib.suppress(click.Abort):  # the end of standard input, or Ctrl-C
        if click.confirm(question, err=True):
            return True
    raise click.ClickException("not confirmed, so nothing was sent; --yes confirms")


def _table(listing: Listing) -> Table:
    total = sum(listing.counts.values())
    shown = ", ".join(f"{reason} {count:,}" for reason, count in listing.counts.items())
    title = f"The last {len(listing.letters):,} of {total:,} dead letters: {printable(shown)}"
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD)
    for name in ("partition", "offset"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("written (UTC)", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("detail", overflow="fold")
    table.add_column("tick's offset", justify="right", overflow="fold")
    for letter in listing.letters:
        source = letter.source
        again = letter.header("replayed_from")
        detail = letter.detail if again is None else f"{letter.detail} (replayed from {again})"
        cells = (
            str(letter.partition),
            str(letter.offset),
            _utc(letter.written_ms)[:19].replace("T", " "),
            letter.reason,
            detail,
            "" if source is None else str(source.offset),
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _shown(letter: Letter) -> Iterator[str]:
    yield f"partition {letter.partition}, offset {letter.offset}, {_utc(letter.written_ms)}"
    if letter.reason in REASONS:
        yield f"{letter.reason}: {REASONS[letter.reason]}"
    yield ""
    yield "headers"
    for name, value in letter.headers:
        yield f"  {printable(name)}: {printable(value.decode(errors='replace'))}"
    for name, content in (("key", letter.key), ("value", letter.value)):
        yield ""
        if content is None:
            yield f"{name}: none"
            continue
        text = _text(content)
        yield f"{name}: {len(content):,} bytes{'' if text is not None else ', not UTF-8'}"
        if text is not None:
            yield from (f"  {printable(line)}" for line in text.split("\n"))
        else:
            yield from hex_dump(content)


def printable(text: str) -> str:
    """Text that a terminal shows and does nothing else with: the rest is escaped."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def hex_dump(content: bytes) -> Iterator[str]:
    """Offset, sixteen bytes in hexadecimal, and as ASCII where they are."""
    for at in range(0, len(content), _DUMP_COLUMNS):
        row = content[at : at + _DUMP_COLUMNS]
        ascii_ = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"  {at:08x}  {row.hex(' '):<{3 * _DUMP_COLUMNS - 1}}  {ascii_}"


def _described(letter: Letter) -> dict[str, Any]:
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "written": _utc(letter.written_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "timestamp": letter.timestamp_ms,
        "cut": letter.header("cut"),
        "replayed_from": letter.header("replayed_from"),
        "key": None if letter.key is None else _text(letter.key),
        "value_bytes": None if letter.value is None else len(letter.value),
    }


def _content(letter: Letter) -> dict[str, Any]:
    return {
        "headers": {name: value.decode(errors="replace") for name, value in letter.headers},
        "key_base64": _base64(letter.key),
        "value": None if letter.value is None else _text(letter.value),
        "value_base64": _base64(letter.value),
    }


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _base64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _utc(ms: int) -> str:
    if not 0 <= ms <= 253_402_300_799_000:  # the year 9999
        return f"{ms} ms"
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _print_json(value: Any) -> None:
    """One line of JSON without anything that a terminal would act on."""
    text = orjson.dumps(value).decode()
    click.echo(_NOT_FOR_TERMINALS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
