"""Formats of times, in the letters of strptime: whether one can be, and which fit a text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import pandas as pd

_DATES: Final = (
    (re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{4}"), ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y")),
    (
        re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{2}"),
        ("%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d"),
    ),
    (re.compile(r"\d{4}([./-])\d{1,2}\1\d{1,2}"), ("%Y{0}%m{0}%d",)),
    (re.compile(r"\d{1,2}([ -])[A-Za-z]{3}\1\d{4}"), ("%d{0}%b{0}%Y",)),
    (re.compile(r"\d{1,2}([ -])[A-Za-z]{3}\1\d{2}"), ("%d{0}%b{0}%y",)),
    (re.compile(r"[A-Za-z]{3}( )\d{1,2}, \d{4}"), ("%b %d, %Y",)),
    (re.compile(r"[A-Za-z]{3,9}( )\d{1,2}, \d{4}"), ("%B %d, %Y",)),
    (re.compile(r"\d{17}()"), ("%Y%m%d%H%M%S%f",)),
    (re.compile(r"\d{14}()"), ("%Y%m%d%H%M%S",)),
    (re.compile(r"\d{12}()"), ("%Y%m%d%H%M",)),
    (re.compile(r"\d{8}()"), ("%Y%m%d",)),
)
_CLOCKS: Final = (
    (re.compile(r"\d{1,2}:\d\d:\d\d\.\d{1,9}"), "%H:%M:%S.%f"),
    (re.compile(r"\d{1,2}:\d\d:\d\d,\d{1,6}"), "%H:%M:%S,%f"),
    (re.compile(r"\d{1,2}:\d\d:\d\d [AaPp][Mm]"), "%I:%M:%S %p"),
    (re.compile(r"\d{1,2}:\d\d:\d\d[AaPp][Mm]"), "%I:%M:%S%p"),
    (re.compile(r"\d{1,2}:\d\d [AaPp][Mm]"), "%I:%M %p"),
    (re.compile(r"\d{1,2}:\d\d[AaPp][Mm]"), "%I:%M%p"),
    (re.compile(r"\d{1,2}:\d\d:\d\d"), "%H:%M:%S"),
    (re.compile(r"\d{1,2}:\d\d"), "%H:%M"),
    (re.compile(r"\d{9}"), "%H%M%S%f"),
    (re.compile(r"\d{6}"), "%H%M%S"),
    (re.compile(r"\d{4}"), "%H%M"),
)
_WEEKDAY: Final = re.compile(r"^[A-Z][a-z]{2}, ")
_ZONE: Final = re.compile(r" (?:UTC|GMT|[+-]\d\d:?\d\d|[A-Z][A-Za-z]+/[A-Z][A-Za-z_/]+)$")
_UNIX: Final = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}")
_SERIAL: Final = re.compile(r"(?:3[6-9]|[4-6]\d)\d{3}[.,]\d+")
"""Days since 1899 with a part of one, as a spreadsheet counts, from 1998."""
_MOMENT: Final = datetime(2024, 2, 13, 14, 15, 16, 171819, UTC)
"""To try formats on."""


def format_problem(time_format: str) -> str | None:
    """What keeps a format from being one, or None.

    >>> format_problem("%d.%m.%Y %Q")
    "'Q' is a bad directive in format '%d.%m.%Y %Q'"
    >>> format_problem("%d.%m.%Y") is None
    True
    """
    if "%" not in time_format:
        return "no directive such as %Y in it"
    try:
        pd.to_datetime(["x"], format=time_format, errors="coerce")
        fitting = _MOMENT.strftime(time_format)
        pd.to_datetime([fitting], format=time_format, errors="coerce")
    except re.error:
        return "a directive stands in it twice"
    except ValueError as error:
        return " ".join(str(error).split())[:120]
    return None


def formats_of(text: str) -> tuple[str, ...]:
    """The strptime formats that a time could be in; several where day, month or year are unclear.

    >>> formats_of("02.03.2023 09:30")
    ('%d.%m.%Y %H:%M', '%m.%d.%Y %H:%M')
    >>> formats_of("31/12/2023")
    ('%d/%m/%Y',)
    >>> formats_of("Mon, 04 Mar 2024 00:00:00 GMT")
    ('%a, %d %b %Y %H:%M:%S %Z',)
    >>> formats_of("soon")
    ()
    """
    bare = _WEEKDAY.sub("", _ZONE.sub("", text))
    if bare != text:
        before = "%a, " if _WEEKDAY.match(text) else ""
        zone = _ZONE.search(text)
        after = "" if zone is None else " %z" if zone[0][1] in "+-" else " %Z"
        return tuple(before + each + after for each in formats_of(bare))
    if _UNIX.fullmatch(text):
        return ("%a %b %d %H:%M:%S %Y",)
    for date, date_formats in _DATES:
        found = date.match(text)
        if found is None:
            continue
        rest = text[found.end() :]
        clock = rest.lstrip(" T,-D")
        between = rest[: len(rest) - len(clock)]
        tails = [name for pattern, name in _CLOCKS if pattern.fullmatch(clock)] if clock else [""]
        possible = [
            each.format(found[1]) + between + tail for each in date_formats for tail in tails[:1]
        ]
        return tuple(each for each in possible if _fits(text, each))
    return ()


def is_serial(text: str) -> bool:
    """Whether a text is a spreadsheet's number for a time.

    >>> is_serial("45355.395833"), is_serial("1709544600.5")
    (True, False)
    """
    return _SERIAL.fullmatch(text) is not None


def _fits(text: str, time_format: str) -> bool:
    return bool(pd.notna(pd.to_datetime(text, format=time_format, errors="coerce")))
