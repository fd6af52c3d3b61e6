"""What one browser shows, from the query of its stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from stream_app.messages.symbols import is_symbol
from stream_app.overview.sections import VIEWS, View
from stream_app.overview.symbol_table import SORTS, TablePage

MOST_FILTER_CHARS: Final = 64
MOST_PAGES: Final = 10_000
_T = TypeVar("_T", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """Everything that a browser is sent."""

    symbol: str = ""
    """Empty while none is chosen."""
    view: View = "live"
    page: TablePage = field(default_factory=TablePage)

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Looking:
        """Read a query such as `symbol=BTC-USD&view=day&sort=move&desc=1&filter=usd&page=2`.

        What is absent has its default.

        >>> Looking.of({"view": "week"})
        Traceback (most recent call last):
            ...
        ValueError: view=week: allowed are live, day

        Raises:
            ValueError: one line that names the key and what is allowed.
        """
        symbol = query.get("symbol", "")
        if symbol and not is_symbol(symbol):
            raise ValueError("symbol: allowed are 1 to 64 printable characters without white space")
        number = query.get("page", "0")
        if not (number.isascii() and number.isdigit() and int(number[:6]) < MOST_PAGES):
            raise ValueError(f"page: allowed is 0 to {MOST_PAGES - 1}")
        contains = query.get("filter", "")
        if len(contains) > MOST_FILTER_CHARS:
            raise ValueError(f"filter: allowed are {MOST_FILTER_CHARS} characters")
        return cls(
            symbol=symbol,
            view=_one_of(VIEWS, "view", query),
            page=TablePage(
                sort=_one_of(SORTS, "sort", query),
                descending=query.get("desc", "") == "1",
                contains=contains,
                only_problems=query.get("problems", "") == "1",
                number=int(number[:6]),
            ),
        )


def _one_of(allowed: tuple[_T, ...], key: str, query: Mapping[str, str]) -> _T:
    given = query.get(key, allowed[0])
    for item in allowed:
        if item == given:
            return item
    raise ValueError(f"{key}={given[:40]}: allowed are {', '.join(allowed)}")
