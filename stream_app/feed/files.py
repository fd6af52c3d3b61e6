"""A CSV or Parquet file of ticks or of bars, as ticks in order of event time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.bars import BadBarError, Rows, bars_to_ticks
from stream_app.feed.columns import Columns, Kind, find_columns
from stream_app.feed.symbols import checked_symbol, symbol_of
from stream_app.feed.table import Table, open_table
from stream_app.feed.times import BadTimeError, epoch_ms
from stream_app.messages.schemas import Tick
from stream_app.messages.symbols import SYMBOL_RULE, is_symbol
from stream_app.messages.ticks import MAX_PRICE, MIN_PRICE

_OHLC: Final = ("open", "high", "low", "close")
_CHUNK_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class TickFile:
    """A file that was read and understood."""

    path: Path
    kind: Kind
    symbols: tuple[str, ...]
    """In the order in which the file names them."""
    notices: tuple[str, ...]
    """What the user should know and need not mend, one line each."""
    rows: Rows

    @property
    def count(self) -> int:
        """How many ticks the file gives."""
        return len(self.rows.ts)

    @property
    def ticks(self) -> Iterator[Tick]:
        """The ticks in order of event time; each call begins anew. Does not block."""
        rows = self.rows
        for start in range(0, self.count, _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            sizes: list[float | None] = (
                [None] * len(rows.ts[chunk])
                if rows.size is None
                else [None if size != size else size for size in rows.size[chunk].tolist()]  # noqa: PLR0124 - NaN
            )
            for code, price, ts, size in zip(
                rows.code[chunk].tolist(),
                rows.price[chunk].tolist(),
                rows.ts[chunk].tolist(),
                sizes,
                strict=True,
            ):
                yield Tick(symbol=self.symbols[code], price=price, ts=ts, size=size)


def read_ticks(
    path: Path, *, symbol: str | None = None, columns: Mapping[str, str] | None = None
) -> TickFile:
    """Read a file of ticks, or of bars, which become four ticks each (see `bars_to_ticks`).

    Blocks on reading the whole file. Rows out of order of time are sorted, with a notice.

    Args:
        path: CSV or Parquet, gzipped or not.
        symbol: the symbol of a file without a column of symbols; by default its name up to the
            first dot, in capitals: `btc-perp-1m.csv.gz` is BTC-PERP-1M.
        columns: role -> column name, for columns without a usual name.

    Raises:
        SourceError: the file or one of its rows cannot be understood.
    """
    with open_table(path) as table:
        found = find_columns(path, table.names, columns or {})
        if symbol is not None and "symbol" in found.positions:
            raise SourceError(
                f"{path}: --symbol {symbol} for a file whose column "
                f"{table.names[found.positions['symbol']]!r} names the symbols; leave --symbol out"
            )
        read = table.read(sorted(set(found.positions.values())))
        return _Reader(path, table, found, read).tick_file(symbol)


class _Reader:
    """Turns the columns of one file into ticks, or says which row cannot be."""

    def __init__(self, path: Path, table: Table, found: Columns, read: dict[int, Any]) -> None:
        self._path = path
        self._table = table
        self._kind = found.kind
        self._columns = {role: read[position] for role, position in found.positions.items()}

    def tick_file(self, symbol: str | None) -> TickFile:
        ts = self._times()
        if self._kind == "bars":
            price = np.column_stack([self._numbers(role, MIN_PRICE) for role in _OHLC])
        else:
            price = self._numbers("price", MIN_PRICE)
        size_role = "volume" if self._kind == "bars" else "size"
        size = self._numbers(size_role, 0.0) if size_role in self._columns else None
        symbols, code = self._symbols(symbol, len(ts))
        order, notices = self._order(ts)
        ts, price, code = ts[order], price[order], code[order]
        size = None if size is None else size[order]
        if self._kind == "ticks":
            rows = Rows(ts=ts, price=price, size=size, code=code)
        else:
            try:
                rows = bars_to_ticks(ts, price, size, code)
            except BadBarError as error:
                raise self._refusal(int(order[error.row]), error.problem) from None
        return TickFile(self._path, self._kind, symbols, notices, rows)

    def _times(self) -> NDArray[np.int64]:
        try:
            return epoch_ms(self._columns["time"])
        except BadTimeError as error:
            raise self._refusal(
                error.row,
                f"time {self._shown('time', error.row)}; looked for {error.wanted}; mend or remove "
                "the row, or name another column with --column time=NAME",
            ) from None

    def _numbers(self, role: str, least: float) -> NDArray[np.float64]:
        """A column as floats; a size or volume may be empty, which is NaN."""
        may_miss = role in {"size", "volume"}
        column = self._columns[role]
        try:
            values = column.cast(pa.float64(), safe=False).to_numpy()
        except pa.ArrowInvalid:  # text among the numbers: find it
            values = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy(dtype=np.float64)
        except pa.ArrowNotImplementedError:  # times are no numbers
            values = np.full(len(column), np.nan)
        numbers: NDArray[np.float64] = np.ascontiguousarray(values, dtype=np.float64)
        good = (numbers >= least) & (numbers <= MAX_PRICE)
        if may_miss:
            good |= column.is_null(nan_is_null=True).to_numpy()
        if not good.all():
            row = int(np.argmin(good))
            wanted = f"{'from' if may_miss else 'above'} 0 to {MAX_PRICE:g}"
            raise self._refusal(
                row,
                f"{role} {self._shown(role, row)}; looked for a number {wanted}; mend or remove "
                f"the row, or name another column with --column {role}=NAME",
            )
        return numbers

    def _symbols(self, symbol: str | None, rows: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The symbols in order of appearance, and each row's position in them."""
        if "symbol" not in self._columns:
            name = checked_symbol(symbol) if symbol is not None else symbol_of(self._path)
            return (name,), np.zeros(rows, dtype=np.int64)
        names = self._columns["symbol"].cast(pa.string())
        codes, uniques = pd.factorize(names.to_pandas(), use_na_sentinel=True)
        known = np.array([is_symbol(name) for name in uniques] + [False])
        good = known[codes]  # the code of a missing symbol is -1, the last
        if not good.all():
            row = int(np.argmin(good))
            raise self._refusal(
                row,
                f"symbol {self._shown('symbol', row)}; looked for {SYMBOL_RULE}; mend or remove "
                "the row, or name another column with --column symbol=NAME",
            )
        return tuple(uniques), codes.astype(np.int64)

    def _order(self, ts: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Which row comes when, and a notice where that is not the file's order."""
        steps = np.diff(ts)
        if (steps >= 0).all():
            return np.arange(len(ts)), ()
        if (steps <= 0).all():  # newest first: rows of the same time are the wrong way round too
            return np.arange(len(ts))[::-1], (f"{self._path}: newest row first; turned round",)
        place = self._table.place(int(np.argmax(steps < 0)) + 1)
        notice = f"{self._path}: not in order of time, first at {place}; sorted by time"
        return np.argsort(ts, kind="stable"), (notice,)

    def _shown(self, role: str, row: int) -> str:
        value = self._columns[role][row].as_py()
        return "is missing" if value is None else repr(str(value))[:60]

    def _refusal(self, row: int, problem: str) -> SourceError:
        return SourceError(f"{self._path} {self._table.place(row)}: {problem}")
