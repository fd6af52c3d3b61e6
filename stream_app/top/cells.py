"""What the panels are made of: harmless texts, plain tables, numbers, signs and colours.

Texts from topics may hold anything, escape sequences of terminals too: `text` makes each of them
harmless.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from rich.table import Table
from rich.text import Text

from stream_app.terminal.letters import printable

SIGNS: Final = {"ok": "✓", "unknown": "?", "warn": "!", "bad": "✗"}
STYLES: Final = {"ok": "green", "unknown": "dim", "warn": "yellow", "bad": "red"}
PRICE_DIGITS: Final = 7
MISSING: Final = "-"
MOST_ROWS: Final = 8
"""Of a table whose newest rows count."""
_BASIS_POINTS: Final = 10_000


def table(*columns: str, left: int) -> Table:
    """A plain table whose columns from `left` on hold numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    return table


def text(told: str) -> Text:
    """A text from a topic, without what a terminal would obey."""
    return Text(printable(told))


def utc(ms: int) -> datetime:
    """A time from epoch ms."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def two(value: float | None) -> str:
    """A number with two decimals."""
    return MISSING if value is None else f"{value:.2f}"


def count(number: int, what: str) -> str:
    """`1 symbol`, `2 symbols`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def basis_points(price: float, last: float) -> Text:
    """How far a price is from the last one, by the logarithm as in the table of symbols."""
    if price <= 0:
        return Text(MISSING)
    points = _BASIS_POINTS * math.log(price / last)
    return Text(f"{points:+.2f}", "green" if points > 0 else "red" if points < 0 else "")
