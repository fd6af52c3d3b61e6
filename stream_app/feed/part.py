"""One file's rows as arrays, and which of them cannot be used."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.bar_ends import is_end
from stream_app.feed.columns import Columns, Kind, find_columns, shown_name
from stream_app.feed.instruments import may_be_codes
from stream_app.feed.joined_times import joined
from stream_app.feed.layout import Layout
from stream_app.feed.named import Named, one_symbol, read_symbols
from stream_app.feed.prices import read_prices
from stream_app.feed.problems import BadRows, told_of
from stream_app.feed.table import Table, open_table
from stream_app.feed.times import read_times
from stream_app.messages.ticks import ID_MAX_CHARS


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
        self.named_by_end = self._named_by_end(shown_name(head.names, found.positions["time"]))
        self._pass_over_blanks()
        if table.head.layout.empty_is_unchanged and "price" in self._second:
            self._fill_sides()
        self._read_times()
        numbers = read_prices(
            path, found, self._by_role, self._second.get("price"), head=head, bad=self.bad
        )
        self.price, self.size = numbers.price, numbers.size
        self.with_points = numbers.with_points
        named = self._read_symbols(symbol)
        self.symbols, self.code, self.symbol_from = named.symbols, named.code, named.told_by
        self.ids = self._read_ids()
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

    def _named_by_end(self, time_name: str) -> bool:
        """Whether the times are the ends of bars."""
        said = self._table.head.layout.bar_times
        if self.kind != "bars" and said is not None:
            raise SourceError(
                f"{self.path}: a file of ticks, for which --bar-times {said} says nothing; looked "
                "for bars; leave it out"
            )
        return said == "end" or (said is None and self.kind == "bars" and is_end(time_name))

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
            found=partial(told_of, "time", column),
            wanted=times.wanted,
            remedy=times.remedy,
        )

    def _read_symbols(self, symbol: str | None) -> Named:
        if "symbol" in self._by_role:
            return read_symbols(self._by_role["symbol"], self.columns["symbol"], self.bad)
        return one_symbol(self.path, symbol, self._table.head.symbol, len(self.ts))

    def _read_ids(self) -> NDArray[np.object_] | None:
        if "id" not in self._by_role:
            return None
        column = self._by_role["id"].cast(pa.string())
        self.bad.note(
            "bad_id",
            pc.greater(pc.utf8_length(column), ID_MAX_CHARS).fill_null(False).to_numpy(),
            found=partial(told_of, "id", column),
            wanted=f"at most {ID_MAX_CHARS} characters",
            remedy="name another column with --column id=NAME",
        )
        return np.array(column.to_pylist(), dtype=np.object_)

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
