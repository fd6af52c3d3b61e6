"""The columns of prices and sizes as numbers, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_app.feed.bar_orders import names_in_order
from stream_app.feed.columns import OHLC, Columns
from stream_app.feed.head import Head
from stream_app.feed.numbers import decimal_of, middle, read_numbers, without_size
from stream_app.feed.problems import BadRows, told_of
from stream_app.messages.ticks import MAX_PRICE, MIN_PRICE

_SIZES: Final = ("size", "volume")
_OTHER_SIDE: Final = "ask or bid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Of all rows of a file, also of bad ones."""

    price: NDArray[np.float64]
    """Shape (rows, 4) for bars: open, high, low, close; (rows, 1) for ticks."""
    size: NDArray[np.float64] | None
    """Shape (rows,); None in a file without sizes."""
    with_points: Mapping[str, tuple[Any, NDArray[np.float64]]]
    """By role, columns of prices and their numbers, where a point was taken for the decimal one
    though nobody said so."""


def read_prices(
    path: Path,
    columns: Columns,
    by_role: Mapping[str, Any],
    other_side: Any | None,
    *,
    head: Head,
    bad: BadRows,
) -> Prices:
    """Read the numbers of a file; what is wrong with them is noted in `bad`.

    Args:
        path: the file.
        columns: what the file holds.
        by_role: its columns.
        other_side: the asks, where the price is that of bids, or the other way round.
        head: of the file's table.
        bad: rows that are bad already.

    Raises:
        SourceError: the decimal sign cannot be told.
    """
    sizes = [role for role in _SIZES if role in by_role]
    of_price = {role: by_role[role] for role in (OHLC if columns.kind == "bars" else ("price",))}
    if other_side is not None:
        of_price[_OTHER_SIDE] = other_side
    numbers = {**of_price, **{role: by_role[role] for role in sizes}}
    given = head.layout.decimal
    decimal = decimal_of(path, numbers, given=given, delimiter=head.delimiter)
    found = {
        role: read_numbers(column, decimal=decimal, is_size=role in sizes)
        for role, column in numbers.items()
    }
    for role, column in of_price.items():
        _check_prices(role, column, found[role], bad)
    if columns.kind == "bars":
        price = np.column_stack([found[role] for role in OHLC])
        _check_bars(price, columns, head, bad)
    elif other_side is not None:
        price = middle(found["price"], found[_OTHER_SIDE])[:, None]
    else:
        price = found["price"][:, None]
    for role in sizes:
        _check_sizes(role, numbers[role], found[role], bad)
    is_assumed = given is None and decimal == "."
    return Prices(
        price=price,
        size=found[sizes[-1]] if sizes else None,
        with_points={role: (of_price[role], found[role]) for role in of_price if is_assumed},
    )


def _check_prices(role: str, column: Any, values: NDArray[np.float64], bad: BadRows) -> None:
    told = partial(told_of, role, column)
    wanted = f"a number above 0 to {MAX_PRICE:g}"
    named = "price" if role == _OTHER_SIDE else role
    remedy = f"name another column with --column {named}=NAME"
    missing = column.is_null().to_numpy()
    bad.note("missing_price", missing, found=told, wanted=wanted, remedy=remedy)
    bad.note("not_a_number", np.isnan(values), found=told, wanted=wanted, remedy=remedy)
    outside = ~((values >= MIN_PRICE) & (values <= MAX_PRICE))
    bad.note("bad_price", outside, found=told, wanted=wanted, remedy=remedy)


def _check_sizes(role: str, column: Any, values: NDArray[np.float64], bad: BadRows) -> None:
    bad.note(
        "bad_size",
        ~((values >= 0) & (values <= MAX_PRICE)) & ~without_size(column),
        found=partial(told_of, role, column),
        wanted=f"a number from 0 to {MAX_PRICE:g}",
        remedy=f"name another column with --column {role}=NAME",
    )


def _check_bars(price: NDArray[np.float64], columns: Columns, head: Head, bad: BadRows) -> None:
    _, high, low, _ = price.T
    with np.errstate(invalid="ignore"):
        outside = (high < price.max(axis=1)) | (low > price.min(axis=1))
    order = names_in_order(price[bad.good], columns, head)
    remedy = "map the columns with --column high=NAME"
    if order is not None:
        remedy = f"name them in their order with --names {order}"
    bad.note(
        "inconsistent_bar",
        outside,
        found=lambda row: (
            "open, high, low, close are " + ", ".join(f"{value:.12g}" for value in price[row])
        ),
        wanted="the high above and the low below all others",
        remedy=remedy,
    )
