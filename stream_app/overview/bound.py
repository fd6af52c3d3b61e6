"""How many symbols are kept, so that no writer can fill the memory. Pure."""

from __future__ import annotations

from typing import Final, TypeVar

_T = TypeVar("_T")

MOST_SYMBOLS: Final = 10_000
"""Messages of symbols beyond are counted and not kept; of trainings and versions, those of the
symbols that were told of longest ago are forgotten."""


def put_last(table: dict[str, _T], name: str, value: _T, most: int) -> str | None:
    """Put a symbol's value last; beyond so many, forget the one that was put longest ago.

    >>> table = {"A": 1, "B": 2}
    >>> put_last(table, "A", 3, most=2), put_last(table, "C", 4, most=2), table
    (None, 'B', {'A': 3, 'C': 4})

    Returns:
        The one that was forgotten.
    """
    table.pop(name, None)
    table[name] = value
    if len(table) <= most:
        return None
    oldest = next(iter(table))
    del table[oldest]
    return oldest
