"""Dead letters as rows, as text that is safe to print, and as JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from stream_app.dead_letters.letter import CUT, REPLAYED_FROM
from stream_app.messages.ticks import REASONS
from stream_app.terminal.width import Column, Sheet

if TYPE_CHECKING:
    from stream_app.dead_letters.letter import Letter
    from stream_app.dead_letters.replay import Listing

_DUMP_COLUMNS: Final = 16


def listing_sheet(listing: Listing) -> Sheet:
    """The dead letters as rows, with the counts of all dead letters as the title."""
    total = sum(listing.counts.values())
    shown = ", ".join(f"{reason} {count:,}" for reason, count in listing.counts.items())
    title = f"The last {len(listing.letters):,} of {total:,} dead letters: {printable(shown)}"
    sheet = Sheet(
        Column(name="partition", is_number=True),
        Column(name="offset", is_number=True),
        Column(name="written (UTC)", is_head=True),
        Column(name="reason", is_head=True),
        Column(name="tick's offset", is_number=True),
        Column(name="detail", is_long=True),
        title=title,
    )
    for letter in listing.letters:
        source = letter.source
        again = letter.header(REPLAYED_FROM)
        detail = letter.detail if again is None else f"{letter.detail} (replayed from {again})"
        cells = (
            str(letter.partition),
            str(letter.offset),
            _utc(letter.written_ms)[:19].replace("T", " "),
            letter.reason,
            "" if source is None else str(source.offset),
            detail,
        )
        sheet.add(*map(printable, cells))
    return sheet


def letter_lines(letter: Letter) -> Iterator[str]:
    """A whole dead letter: its bytes as text if they are UTF-8, else as a hex dump."""
    yield f"partition {letter.partition}, offset {letter.offset}, {_utc(letter.written_ms)}"
    if letter.reason in REASONS:
        yield f"{letter.reason}: {REASONS[letter.reason]}"
    yield ""
    yield "headers"
    for name, value in letter.headers:
        yield f"  {printable(name)}: {printable(value.decode(errors='replace'))}"
    for name, held in (("key", letter.key), ("value", letter.value)):
        yield ""
        if held is None:
            yield f"{name}: none"
            continue
        text = _text(held)
        yield f"{name}: {len(held):,} bytes{'' if text is not None else ', not UTF-8'}"
        if text is not None:
            yield from (f"  {printable(line)}" for line in text.split("\n"))
        else:
            yield from hex_dump(held)


def printable(text: str) -> str:
    r"""The text with every control character escaped, so that a terminal only shows it.

    >>> printable("red \x1b[31m")
    'red \\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def hex_dump(content: bytes) -> Iterator[str]:
    """Lines of an offset, sixteen bytes in hexadecimal, and the same bytes as ASCII.

    >>> print(*hex_dump(b"tick 7"), sep="")
      00000000  74 69 63 6b 20 37                                tick 7
    """
    for at in range(0, len(content), _DUMP_COLUMNS):
        row = content[at : at + _DUMP_COLUMNS]
        ascii_ = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"  {at:08x}  {row.hex(' '):<{3 * _DUMP_COLUMNS - 1}}  {ascii_}"


def described(letter: Letter) -> dict[str, Any]:
    """For JSON: where a dead letter is, what was refused, and why."""
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "written": _utc(letter.written_ms),
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "timestamp": letter.timestamp_ms,
        "cut": letter.header(CUT),
        "replayed_from": letter.header(REPLAYED_FROM),
        "key": None if letter.key is None else _text(letter.key),
        "value_bytes": None if letter.value is None else len(letter.value),
    }


def content(letter: Letter) -> dict[str, Any]:
    """For JSON: a dead letter's headers and its bytes."""
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
