"""A column of dates and one of times of day as one column of text."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

_WIDTHS: Final = {3: 4, 4: 4, 5: 6, 6: 6, 7: 9, 8: 9, 9: 9}
"""Digits of the longest time of day -> of all: HHMM, HHMMSS or HHMMSSmmm."""


def joined(dates: Any, clocks: Any, *, spelt: bool) -> Any:
    """Both as one text, with a blank between; missing where one of them is.

    Times of day that are numbers have lost their first zeros: 930 is 09:30, and beside 93000, 2300
    is 00:23:00.

    >>> import pyarrow as pa
    >>> days, clocks = pa.chunked_array([[20240304, 20240304]]), pa.chunked_array([[930, 1000]])
    >>> joined(days, clocks, spelt=True).to_pylist()
    ['20240304 09:30', '20240304 10:00']

    Args:
        dates: a `pyarrow.ChunkedArray`.
        clocks: another one, of the same length.
        spelt: whether digits get colons, so that they are read without a format.
    """
    if pa.types.is_timestamp(dates.type) and dates.type.tz is None:
        dates = dates.cast(pa.date32(), safe=False)  # the day of what pandas calls a date
    days, hours = (_text(each) for each in (dates, clocks))
    if (width := _width(hours)) is not None:
        hours = pc.utf8_lpad(hours, width, padding="0")
        if spelt:
            found = r"^(..)(..)" + ("(..)" if width > 4 else "") + ("(...)" if width > 6 else "")
            told = r"\1:\2" + (r":\3" if width > 4 else "") + (r".\4" if width > 6 else "")
            hours = pc.replace_substring_regex(hours, f"{found}$", told)
    return pa.chunked_array([pc.binary_join_element_wise(days, hours, " ")])


def _text(column: Any) -> Any:
    return column.cast(pa.string()).combine_chunks()


def _width(hours: Any) -> int | None:
    """How many digits each should have; None where not all are digits."""
    if not pc.all(pc.utf8_is_digit(hours)).as_py():
        return None
    return _WIDTHS.get(pc.max(pc.utf8_length(hours)).as_py())
