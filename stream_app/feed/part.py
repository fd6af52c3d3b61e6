"""One file's rows as arrays, and which of them cannot be used."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.bar_orders import other_order
from stream_app.feed.columns import OHLC, Columns, Kind, find_columns, shown_name
from stream_app.feed.instruments import may_be_codes
from stream_app.feed.joined_times import joined
from stream_app.feed.layout import Layout
from stream_app.feed.numbers import decimal_of, middle, read_numbers, without_size
from stream_app.feed.problems import BadRows
from stream_app.feed.symbols import checked_symbol, symbol_of
from stream_app.feed.table import Table, open_table
from stream_app.feed.times import read_times
from stream_app.feed.understood import FROM_NAME
from stream_app.messages.symbols import SYMBOL_RULE, is_symbol
from stream_app.messages.ticks import ID_MAX_CHARS, MAX_PRICE, MIN_PRICE

_SIZES: Final = ("size", "volume")


def read_part(path: Path, symbol: str | None, layout: Layout | None, *, pick: bool) -> Part:
    """Read one file. Blocks on reading it.

    Args:
        path: the file.
        symbol: of a file without a column of symbols.
        layout: what is known of the file.
        pick: whether a symbol may be given although the file has a column of them.

    Raises:
        SourceError: the file as a whole cannot be understood.
    """
    table = open_table(path, layout)
    head = table.head
    found = find_columns(path, head.names, head.layout.columns, head.first_row)
    if symbol is not None and not pick and "symbol" in found.positions:
        raise SourceError(
            f"{path}: --symbol {symbol} for a file whose column "
            f"{head.names[found.positions['symbol']]!r} names the symbols; leave --symbol out"
        )
    named = "symbol" in found.positions or head.symbol is not None
    may_name = {
        *head.texts,
        *(
            at
            for at, (name, text) in enumerate(zip(head.names, head.first_row, strict=False))
            if text.strip().isdecimal() and may_be_codes(name)
        ),
    }
    texts = [] if named else sorted(may_name.difference(found.used))
    return Part(path, table, found, table.read([*found.used, *texts]), symbol)


class Part:
    """The rows of one file, in the file's order, as arrays of the same length."""

    def __init__(
        self, path: Path, table: Table, found: Columns, read: dict[int, Any], symbol: str | None
    ) -> None:
        head = table.head
        self.path = path
        self.kind: Kind = found.kind
        self.columns = found.names(head.names)
        self.unused = tuple(
            shown_name(head.names, at) for at in range(len(head.names)) if at not in found.used
        )
        self.taken_for = head.taken_for
        self._table = table
        self._found = found
        self._by_role = {role: read[position] for role, position in found.positions.items()}
        self._second = {role: read[position] for role, position in found.second.items()}
        self.texts = {shown_name(head.names, at): read[at] for at in read if at not in found.used}
        self.codes = {shown_name(head.names, at) for at in read if at not in head.texts}
        rows = len(self._by_role["time"])
        self.notices: tuple[str, ...] = ()
        self.bad = BadRows(rows, table.data_row)
        if table.bad_lines is not None:
            self.bad.add(table.bad_lines)
        if not rows:
            raise self.refusal()
        self._pass_over_blanks()
        if table.head.layout.empty_is_unchanged and "price" in self._second:
            self._fill_sides()
        self._read_times()
        self._read_numbers()
        self._read_symbols(symbol)
        self._read_ids()
        self.order, told = self._order()
        self.notices = (*self.notices, *told)

    @property
    def first_ts(self) -> int:
        """Event time of the first usable row, epoch ms; 0 without one."""
        return int(self.ts[self.bad.good].min()) if self.bad.good.any() else 0

    @property
    def named_by_column(self) -> bool:
        """Whether the file itself names its symbols."""
        return "symbol" in self.columns or self._table.head.symbol is not None

    @property
    def ids_or_none(self) -> NDArray[np.object_]:
        """The trade ids, None where there are none."""
        return np.full(len(self.ts), None, dtype=np.object_) if self.ids is None else self.ids

    @property
    def sizes(self) -> NDArray[np.float64]:
        """The sizes, NaN where there are none."""
        return np.full(len(self.ts), np.nan) if self.size is None else self.size

    def refusal(self) -> SourceError:
        """All the bad rows in one line."""
        return self.bad.refusal(self.path, self._table.places)

    def refused_at(self, row: int, problem: str) -> SourceError:
        """A problem that begins at a row."""
        place = self._table.places([self._table.data_row(row)])[0]
        return SourceError(f"{self.path} {place}: {problem}")

    def _pass_over_blanks(self) -> None:
        """Rows of nothing but separators, as spreadsheets leave them at the end."""
        columns = (*self._by_role.values(), *self._second.values(), *self.texts.values())
        empty = np.logical_and.reduce([column.is_null().to_numpy() for column in columns])
        filled = np.flatnonzero(~empty)
        end = int(filled[-1]) + 1 if len(filled) else len(empty)
        if end < len(empty):
            self.bad.good[end:] = False
            self.notices += (
                f"{self.path}: rows at the end without a value in the columns used left out: "
                f"{len(empty) - end:,}",
            )

    def _fill_sides(self) -> None:
        """An empty bid or ask is that of the row before; before the first there is no price."""
        sides = [
            pc.fill_null_forward(each) for each in (self._by_role["price"], self._second["price"])
        ]
        self._by_role["price"], self._second["price"] = sides
        unknown = self.bad.good & (sides[0].is_null().to_numpy() | sides[1].is_null().to_numpy())
        if unknown.any() and not unknown.all():
            self.bad.good &= ~unknown
            self.notices += (
                f"{self.path}: rows before the first bid and ask left out: {int(unknown.sum()):,}",
            )

    def _read_times(self) -> None:
        layout = self._table.head.layout
        column = self._by_role["time"]
        if "time" in self._second:
            column = joined(column, self._second["time"], spelt=layout.time_format is None)
        times = read_times(
            column,
            time_format=layout.time_format,
            time_zone=layout.time_zone,
            each_once=self.kind == "bars",
        )
        self.ts, self.local_ms = times.ts, times.local_ms
        self.time_format, self.time_zone = times.format, times.zone
        self.bad.note(
            "bad_time",
            ~times.good,
            found=lambda row: f"time {_shown(column, row)}",
            wanted=times.wanted,
            remedy=times.remedy,
        )

    def _read_numbers(self) -> None:
        layout, roles = self._table.head.layout, self._by_role
        sizes = [role for role in _SIZES if role in roles]
        prices = list(OHLC) if self.kind == "bars" else ["price"]
        numbers = {role: roles[role] for role in (*prices, *sizes)}
        if "price" in self._second:
            numbers["ask or bid"] = self._second["price"]
        decimal = decimal_of(
            self.path, numbers, given=layout.decimal, delimiter=self._table.head.delimiter
        )
        found = {
            role: read_numbers(column, decimal=decimal, is_size=role in sizes)
            for role, column in numbers.items()
        }
        for role, column in numbers.items():
            if role not in sizes:
                self._check_prices(role, column, found[role])
        if self.kind == "bars":
            self.price = np.column_stack([found[role] for role in OHLC])
            self._check_bars()
        elif "ask or bid" in found:
            self.price = middle(found["price"], found["ask or bid"])[:, None]
        else:
            self.price = found["price"][:, None]
        self.with_points: dict[str, tuple[Any, NDArray[np.float64]]] = {}
        if layout.decimal is None and decimal == ".":
            self.with_points = {
                role: (numbers[role], found[role]) for role in numbers.keys() - sizes
            }
        self.size = None
        for role in sizes:
            self.size = self._checked_sizes(role, numbers[role], found[role])

    def _check_prices(self, role: str, column: Any, values: NDArray[np.float64]) -> None:
        name = role if role in self.columns else "price"
        wanted = f"a number above 0 to {MAX_PRICE:g}"
        told = partial(self._told, role, column)
        remedy = f"name another column with --column {name}=NAME"
        missing = column.is_null().to_numpy()
        self.bad.note("missing_price", missing, found=told, wanted=wanted, remedy=remedy)
        no_number = np.isnan(values)
        self.bad.note("not_a_number", no_number, found=told, wanted=wanted, remedy=remedy)
        outside = ~((values >= MIN_PRICE) & (values <= MAX_PRICE))
        self.bad.note("bad_price", outside, found=told, wanted=wanted, remedy=remedy)

    def _checked_sizes(
        self, role: str, column: Any, values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        bad = ~((values >= 0) & (values <= MAX_PRICE)) & ~without_size(column)
        self.bad.note(
            "bad_size",
            bad,
            found=partial(self._told, role, column),
            wanted=f"a number from 0 to {MAX_PRICE:g}",
            remedy=f"name another column with --column {role}=NAME",
        )
        return values

    def _check_bars(self) -> None:
        _, high, low, _ = self.price.T
        with np.errstate(invalid="ignore"):
            outside = (high < self.price.max(axis=1)) | (low > self.price.min(axis=1))
        self.bad.note(
            "inconsistent_bar",
            outside,
            found=lambda row: (
                "open, high, low, close are "
                + ", ".join(f"{value:.12g}" for value in self.price[row])
            ),
            wanted="the high above and the low below all others",
            remedy=self._other_order() or "map the columns with --column high=NAME",
        )

    def _other_order(self) -> str | None:
        """`--names` for a file without a header whose bars fit in another order."""
        positions = tuple(self._found.positions[role] for role in OHLC)
        if positions != (1, 2, 3, 4) or not self._table.head.layout.names:
            return None
        order = other_order(self.price[self.bad.good])
        if order is None:
            return None
        names = ("time", *order, *self._table.head.names[5:])
        return f"name them in their order with --names {','.join(names)}"

    def _read_symbols(self, symbol: str | None) -> None:
        """The symbols in order of appearance, and each row's position in them."""
        rows = len(self.ts)
        if "symbol" not in self._by_role:
            named = self._table.head.symbol
            if symbol is not None:
                self.symbols, self.symbol_from = (checked_symbol(symbol),), "--symbol"
            elif named is not None:
                self.symbols, self.symbol_from = (checked_symbol(named),), "the header"
            else:
                self.symbols, self.symbol_from = (symbol_of(self.path),), FROM_NAME
            self.code = np.zeros(rows, dtype=np.int64)
            return
        column = self._by_role["symbol"].cast(pa.string())
        codes, uniques = pd.factorize(column.to_pandas(), use_na_sentinel=True)
        known = np.array([is_symbol(name) for name in uniques] + [False])
        good = known[codes]  # the code of a missing symbol is -1, the last
        self.bad.note(
            "bad_symbol",
            ~good,
            found=partial(self._told, "symbol", column),
            wanted=SYMBOL_RULE,
            remedy="name another column with --column symbol=NAME",
        )
        self.symbols = tuple(name for name in uniques if is_symbol(name))
        place = {name: at for at, name in enumerate(self.symbols)}
        self.code = np.array([place.get(name, 0) for name in uniques] + [0], dtype=np.int64)[codes]
        self.symbol_from = f"the column {self.columns['symbol']}"

    def _read_ids(self) -> None:
        self.ids: NDArray[np.object_] | None = None
        if "id" not in self._by_role:
            return
        column = self._by_role["id"].cast(pa.string())
        self.ids = np.array(column.to_pylist(), dtype=np.object_)
        self.bad.note(
            "bad_id",
            pc.greater(pc.utf8_length(column), ID_MAX_CHARS).fill_null(False).to_numpy(),
            found=partial(self._told, "id", column),
            wanted=f"at most {ID_MAX_CHARS} characters",
            remedy="name another column with --column id=NAME",
        )

    def _order(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Which row comes when, and a notice where that is not the file's order."""
        rows = np.flatnonzero(self.bad.good)
        steps = np.diff(self.ts[rows])
        every = np.arange(len(self.ts))
        if (steps >= 0).all():
            return every, ()
        if (steps <= 0).all():  # newest first: rows of the same time are the wrong way round too
            return every[::-1], (f"{self.path}: newest row first; turned round",)
        place = self._table.places([self._table.data_row(int(rows[np.argmax(steps < 0) + 1]))])[0]
        notice = f"{self.path}: not in order of time, first at {place}; sorted by time"
        return np.argsort(self.ts, kind="stable"), (notice,)

    def _told(self, role: str, column: Any, row: int) -> str:
        return f"{role} {_shown(column, row)}"


def _shown(column: Any, row: int) -> str:
    value = column[row].as_py()
    return "is missing" if value is None else repr(str(value))[:60]
