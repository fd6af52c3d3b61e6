"""The beginning of a CSV file: its encoding, layout, separator, header and first rows."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stream_app.errors import SourceError
from stream_app.feed.csv_text import decodes, delimiter, encoding
from stream_app.feed.head import Head
from stream_app.feed.headers import are_values, checked_names, is_value
from stream_app.feed.layout import Layout, recognised
from stream_app.feed.source import WANTED, no_rows

_SEP_LINE: Final = re.compile(r'"?sep=(.)"?[ \t]*\n', re.IGNORECASE)
"""The line that tells Excel what separates the fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvHead(Head):
    """What is known of a CSV file before its rows are read."""

    delimiter: str
    """What separates its fields."""
    encoding: str
    """By a name that Python knows."""
    skipped: int
    """Lines above the first row."""
    has_header: bool
    """Whether one of those lines names the columns."""


def read_csv_head(path: Path, beginning: bytes, layout: Layout | None) -> CsvHead:
    """Understand the beginning of a CSV file.

    Args:
        path: the file.
        beginning: its first bytes.
        layout: what is known of it; without one it is recognised by its first lines.

    Raises:
        SourceError: it is no CSV file, has no rows, or its header and its rows do not fit.
    """
    coding = encoding(beginning, layout)
    text = _decoded(path, beginning, coding)
    taken_for, known = _laid_out(text, layout)
    lines = text.split("\n")
    start = known.skip_lines
    while start < len(lines) and not lines[start].strip():
        start += 1
    body = lines[start:]
    if not body:
        raise no_rows(path)
    separator = known.delimiter or delimiter(body[0])
    has_header = not _is_headerless(body[0], known, separator)
    symbol = _symbol(path, body, known, separator)
    rows = body[known.header_lines :] if has_header else body
    filled = [_fields(line, separator) for line in rows[:-1] or rows if line.strip()]
    if has_header:
        header = _names(body[: known.header_lines], known, separator)
        names = checked_names(
            path, header, filled, line=body[0], number=start + 1, separator=separator
        )
    else:
        names = _given_names(path, body[0], known, separator)
    return CsvHead(
        names=names,
        layout=known,
        symbol=symbol,
        first_row=filled[0] if filled else (),
        texts=_texts(filled, len(names)),
        taken_for=taken_for,
        delimiter=separator,
        encoding=coding,
        skipped=start + known.header_lines if has_header else start,
        has_header=has_header,
    )


def _laid_out(text: str, layout: Layout | None) -> tuple[str | None, Layout]:
    """What the file is taken for unasked, and its layout by that and by what is given."""
    given = layout or Layout()
    said = _SEP_LINE.match(text) if not given.skip_lines else None
    if said is not None:
        return None, given.overlaid(skip_lines=1, delimiter=given.delimiter or said[1])
    found = recognised(text) if _may_be_recognised(layout) else None
    if found is None:
        return None, given
    taken_for, known = found
    return taken_for, known.overlaid(
        columns=given.columns,
        encoding=given.encoding,
        decimal=given.decimal,
        time_format=given.time_format,
        time_zone=given.time_zone,
    )


def _may_be_recognised(layout: Layout | None) -> bool:
    """Whether what is given leaves open how the file is laid out."""
    if layout is None:
        return True
    told = layout.names or layout.skip_lines or layout.delimiter or layout.title
    return not told and layout.header_lines == 1


def _decoded(path: Path, head: bytes, coding: str) -> str:
    decoder = codecs.getincrementaldecoder(coding)()
    try:
        text = decoder.decode(head)
    except UnicodeDecodeError:
        if not decodes(head.split(b"\n", 1)[0], coding):
            raise _not_text(path, head, coding) from None
        raise SourceError(
            f"{path}: not CSV (not all of it is {coding}); {WANTED}; say in "
            "which encoding it is, such as --encoding cp1252, or export it as CSV in UTF-8"
        ) from None
    first = text.splitlines()[0] if text.strip() else ""
    if not first.replace("\t", "").isprintable():
        raise _not_text(path, head, coding)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _not_text(path: Path, head: bytes, coding: str) -> SourceError:
    return SourceError(
        f"{path}: not text in {coding.upper().removesuffix('-SIG')}, it begins "
        f"with {head[:16]!r}; {WANTED}; say in which encoding it is with --encoding, or export "
        "it as CSV"
    )


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _is_headerless(line: str, layout: Layout, separator: str) -> bool:
    """Whether the first line is a row: because names are given, or columns by number."""
    if layout.names:
        return True
    by_number = all(
        part.strip().isdecimal() for wanted in layout.columns.values() for part in wanted.split("+")
    )
    return bool(layout.columns) and by_number and are_values(_fields(line, separator))


def _names(header: Sequence[str], layout: Layout, separator: str) -> list[str]:
    """Each column's name: the lowest that the header's lines have, without the symbols'."""
    names = _fields(header[0], separator)
    for number, line in enumerate(header[1:], 2):
        if number != layout.symbol_line:
            for at, name in enumerate(_fields(line, separator)[: len(names)]):
                names[at] = name.strip() or names[at]
    return names


def _given_names(path: Path, line: str, layout: Layout, separator: str) -> list[str]:
    """Of a file without a header, by its first line."""
    width = len(_fields(line, separator))
    names = list(layout.names) or [str(nth + 1) for nth in range(width)]
    if len(names) != width:
        raise SourceError(
            f"{path}: {width} columns, {line[:60]!r}, and {len(names)} names; looked for as many "
            "of both; name every column with --names"
        )
    return names


def _symbol(path: Path, body: Sequence[str], layout: Layout, separator: str) -> str | None:
    if layout.symbol_line is None or len(body) < layout.symbol_line:
        return None
    found = {field.strip() for field in _fields(body[layout.symbol_line - 1], separator)[1:]} - {""}
    if len(found) != 1:
        raise SourceError(
            f"{path}: {len(found)} symbols side by side in line "
            f"{layout.symbol_line} ({', '.join(sorted(found)[:5])}); looked for one; "
            "export each in a file of its own"
        )
    return found.pop()


def _texts(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns that have text in one of the first rows."""
    found = {
        at
        for fields in rows
        for at, field in enumerate(fields[:width])
        if re.search(r"[^\W\d_]", field) and not is_value(field)
    }
    return sorted(found)
