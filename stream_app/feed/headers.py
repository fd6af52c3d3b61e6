"""What is wrong with the first lines of a CSV file, and the options that help."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stream_app.errors import SourceError
from stream_app.feed.csv_text import delimiter
from stream_app.feed.source import WANTED
from stream_app.feed.usual_names import usual

_SHOWN_LINES: Final = 3
_EPOCH: Final = re.compile(r"\d{10}(?:\.\d+)?|\d{13}|\d{16}|\d{19}")
_DATE: Final = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}.*|\d{8} \d{4,9}")
_ONLY_DATE: Final = re.compile(r"\d{1,4}([-./])\d{1,2}\1\d{1,4}|\d{8}")
_ONLY_CLOCK: Final = re.compile(r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?|\d{4}|\d{6}")
_NUMBER: Final = re.compile(r"[+-]?\d*[.,]?\d+(?:[eE][-+]?\d+)?")
_MONTH: Final = re.compile(r"[A-Z][a-z]{2,8}\.? \d{1,2}")
_YEAR: Final = re.compile(r" ?\d{4}(?: .*)?")
_WEEKDAY: Final = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*")
_SHAPES: Final = {
    2: "time,price",
    3: "time,price,size",
    5: "time,open,high,low,close",
    6: "time,open,high,low,close,volume",
}
"""What columns of numbers without a header usually are, by how many there are."""


def checked_names(
    path: Path,
    names: list[str],
    rows: Sequence[Sequence[str]],
    *,
    line: str,
    number: int,
    separator: str,
) -> list[str]:
    """The header's names, where they can be those of the rows below.

    Args:
        path: the file.
        names: as they stand in the header.
        rows: the fields of the first rows.
        line: the header's first line.
        number: which line that is, from 1.
        separator: of its fields.

    Raises:
        SourceError: they cannot; with the options that help.
    """
    shown = line[:60]
    below = {len(fields) for fields in rows[:_SHOWN_LINES]}
    if len(below) == 1 and 1 < max(below) != len(names):
        fits = next(iter(below))
        if fits == len(names) + 1 and not any(fields[-1].strip() for fields in rows):
            return [*names, ""]  # each row ends with a separator, the header not
        if options := comma_in_a_date(names, rows[0], number):
            raise SourceError(
                f"{path}: line {number}, {shown!r}, has {len(names)} fields and "
                f"the lines below it {fits}; looked for as many of both; put quotes around "
                f"the times, whose comma separates fields, or give {options}"
            )
        if delimiter(line) == separator and not are_values(rows[0]):
            raise SourceError(
                f"{path}: line {number}, {shown!r}, has {len(names)} fields and "
                f"the lines below it {fits}; looked for a header; pass over the lines above "
                f"it with --skip-lines {number}"
            )
    if len(names) < 2:
        mark = other_separator(line)
        other = (
            f"if it is {mark!r}, write delimiter = {mark!r} to a --layout file; " if mark else ""
        )
        raise SourceError(
            f"{path}: one column in the first line, {shown!r}; {WANTED}, separated by "
            f"comma, semicolon, tab or bar; {other}pass over remarks above the header with "
            "--skip-lines N, or check that it is the right file"
        )
    if are_values(names):
        likely = likely_names(names)
        raise SourceError(
            f"{path}: no header line, the first line is {shown!r}; {WANTED}; name its "
            f"{len(names)} columns with --names"
            + (f" {likely}" if likely else "")
            + ", or put a line with the columns' names first, such as time,price"
        )
    return names


def are_values(fields: Sequence[str]) -> bool:
    """Whether half of the fields look like prices or times, which no name does."""
    return 2 * sum(map(is_value, fields)) >= len(fields)


def is_value(name: str) -> bool:
    """Whether a text looks like a number or a time."""
    return (
        re.match(r"\s*[+-]?[.,]?\d+([.,]\d*)?\s*$|\s*\d{1,4}([-./])\d\d?\2\d|\s*\d{8} \d{4}", name)
        is not None
    )


def other_separator(line: str) -> str | None:
    """What separates a line's fields where it is none of the usual.

    >>> other_separator("time^price^size"), other_separator("<html>")
    ('^', None)
    """
    fields = r"[^\W_][\w.:+/-]*"
    for mark in "^~#@ :":
        found = line.strip().split(mark)
        if re.fullmatch(rf"{fields}(?:{re.escape(mark)}{fields})+", line.strip()) and (
            usual("time", found) or are_values(found)
        ):
            return mark
    return None


def likely_names(fields: Sequence[str]) -> str | None:
    """What `--names` could be for a row without a header; None where it is unclear.

    >>> likely_names(["46029.63", "4.4589", "1709510400.1234", "b", "m", "", "400000"])
    'price,size,time,extra4,extra5,extra6,extra7'
    >>> likely_names(["1709510400", "1.5", "1.5", "1.5", "1.5", "7"])
    'time,open,high,low,close,volume'
    """
    bare = [field.strip() for field in fields]
    times = [at for at, field in enumerate(bare) if _EPOCH.fullmatch(field) or _DATE.match(field)]
    if len(bare) > 2 and _ONLY_DATE.fullmatch(bare[0]) and _ONLY_CLOCK.fullmatch(bare[1]):
        rest = likely_names(["1709510400", *bare[2:]])
        return rest and rest.replace("time,", "date,time,", 1)
    numbers = [
        at for at, field in enumerate(bare) if _NUMBER.fullmatch(field) and at not in times[:1]
    ]
    if times[:1] == [0] and len(numbers) == len(bare) - 1 and len(bare) in _SHAPES:
        return _SHAPES[len(bare)]
    if not times or not numbers:
        return None
    names = [f"extra{at + 1}" for at in range(len(bare))]
    for name, at in zip(("time", "price", "size"), (times[0], *numbers), strict=False):
        names[at] = name
    return ",".join(names)


def comma_in_a_date(names: Sequence[str], fields: Sequence[str], line: int) -> str | None:
    """The options that read `Mar 4, 2024` or `Mon, 04 Mar 2024` without quotes around it.

    >>> comma_in_a_date(["Date", "Price"], ["Mar 4", " 2024", "5"], 1)
    '--skip-lines 1 --names day,year,Price --column time=day+year --time-format "%b %d %Y"'

    Args:
        names: the header.
        fields: those of the first row.
        line: the header's, from 1.

    Returns:
        None where that is not what is wrong.
    """
    if len(fields) != len(names) + 1:
        return None
    for at, (first, second) in enumerate(itertools.pairwise(fields)):
        before, after = [each.strip() for each in names[:at]], names[at + 1 :]
        rest = [each.strip() for each in after]
        if _MONTH.fullmatch(first.strip()) and _YEAR.fullmatch(second):
            month = "%b" if re.match(r"[A-Z][a-z]{2}\.? ", first.strip()) else "%B"
            clock = _clock(second.strip()[4:])
            return (
                f"--skip-lines {line} --names {','.join([*before, 'day', 'year', *rest])} "
                f'--column time=day+year --time-format "{month} %d %Y{clock}"'
            )
        if _WEEKDAY.fullmatch(first.strip()):
            return f"--skip-lines {line} --names {','.join([*before, 'weekday', 'time', *rest])}"
    return None


def _clock(text: str) -> str:
    colons = text.count(":")
    if not colons:
        return ""
    if re.search(r"[AaPp][Mm]$", text):
        return " %I:%M:%S %p" if colons > 1 else " %I:%M %p"
    return " %H:%M:%S" if colons > 1 else " %H:%M"
