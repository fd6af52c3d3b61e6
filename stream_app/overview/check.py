"""One thing that operators ask, and how bad its answer is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["ok", "unknown", "warn", "bad"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "unknown", "warn", "bad")
"""From the best to the worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A question with its answer in words."""

    id: str
    name: str
    level: Level
    text: str


def symbols(count: int) -> str:
    """So many symbols.

    >>> symbols(1), symbols(1200)
    ('1 symbol', '1,200 symbols')
    """
    return "1 symbol" if count == 1 else f"{count:,} symbols"
