"""Files whose columns have types: Parquet, Feather and Arrow, JSON."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.feather as arrow_feather
import pyarrow.parquet as arrow_parquet
from numpy.typing import NDArray

from stream_app.errors import SourceError
from stream_app.feed.csv_table import trimmed
from stream_app.feed.head import Head
from stream_app.feed.headers import is_value
from stream_app.feed.layout import Layout
from stream_app.feed.problems import Problem
from stream_app.feed.source import WANTED, FileBytes, no_rows, one_line

_STREAM: Final = b"\xff\xff\xff\xff"
_CELL_BYTES: Final = 8
_PAIR: Final = re.compile(r"\('(.*)', '(.*)'\)")
"""How pandas writes a name of two levels."""
_PLAIN_TYPES: Final = (
    *(pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    *(pa.types.is_date, pa.types.is_time, pa.types.is_timestamp, pa.types.is_null),
)


class ArrowTable:
    """A table that is in memory as `pyarrow` reads it; see `Table`."""

    def __init__(
        self,
        path: Path,
        table: Any,
        layout: Layout,
        *,
        lines: NDArray[np.int64] | None = None,
        bad_lines: Problem | None = None,
    ) -> None:
        self.bad_lines = bad_lines
        self._lines = lines
        self._path = path
        self._table = table
        names, symbol = _without_symbol(path, table.column_names)
        names = list(layout.names) or names
        if len(names) != table.num_columns:
            raise SourceError(
                f"{path}: {table.num_columns} columns and {len(names)} names; looked for as "
                "many of both; leave --names out or name every column"
            )
        first_row = _first_row(table)
        self.head = Head(
            names=names,
            layout=layout,
            symbol=symbol,
            first_row=first_row,
            texts=[
                at
                for at, field in enumerate(table.schema)
                if _is_text(field.type) and not (first_row and is_value(first_row[at]))
            ],
        )

    def read(self, positions: Sequence[int]) -> dict[int, Any]:
        """The columns in the file's own types."""
        if not self._table.num_rows:
            raise no_rows(self._path)
        return {position: self._plain(position) for position in positions}

    def _plain(self, position: int) -> Any:
        column = self._table.column(position)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        if not any(known(column.type) for known in _PLAIN_TYPES):
            raise SourceError(
                f"{self._path}: column {self.head.names[position]!r} holds {column.type}; looked "
                "for numbers, text or times; name another one with --column ROLE=NAME"
            )
        return trimmed(column) if pa.types.is_string(column.type) else column

    def data_row(self, row: int) -> int:
        """The same, or its line where it has one."""
        return row if self._lines is None else int(self._lines[row])

    def places(self, data_rows: Sequence[int]) -> list[str]:
        """`row N` or `line N`, from 1."""
        what = "row" if self._lines is None else "line"
        return [f"{what} {row + 1}" for row in data_rows]


def _without_symbol(path: Path, names: Sequence[str]) -> tuple[list[str], str | None]:
    """The names, and the symbol that pandas wrote behind each, as yfinance's tables have it.

    >>> _without_symbol(Path("a"), ["('Open', 'AAPL')", "('Close', 'AAPL')", "Date"])
    (['Open', 'Close', 'Date'], 'AAPL')

    Raises:
        SourceError: they are of several symbols.
    """
    pairs = [_PAIR.fullmatch(name) for name in names]
    symbols = sorted({pair[2] for pair in pairs if pair} - {""})
    if len(symbols) > 1:
        raise SourceError(
            f"{path}: {len(symbols)} symbols side by side in the names of the columns "
            f"({', '.join(symbols[:5])}); looked for one; write each to a file of its own"
        )
    bare = [pair[1] if pair else name for pair, name in zip(pairs, names, strict=True)]
    return bare, symbols[0] if symbols else None


def _first_row(table: Any) -> Sequence[str]:
    """The first texts, dates, times of day and whole numbers; empty for other types."""
    if not table.num_rows:
        return ()
    return [_as_text(column[0].as_py()) for column in table.columns]


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() and not value.tzinfo else ""
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value).strip() if type(value) is str or type(value) is int else ""


def _is_text(kind: Any) -> bool:
    of = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(
        is_kind(of)
        for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def read_parquet(source: FileBytes) -> Any:
    """A Parquet file as a `pyarrow.Table`.

    Raises:
        SourceError: it is of another format, damaged, or a bomb by the rows that it says to have.
    """
    content = _in_memory(source)
    try:
        told = arrow_parquet.read_metadata(content)
        if told.num_rows * told.num_columns * _CELL_BYTES > source.most_bytes:
            raise source.too_large()
        return arrow_parquet.read_table(content)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{source.path}: not Parquet, or damaged ({one_line(error)}); {WANTED}; write the "
            "file again"
        ) from None


def read_ipc(source: FileBytes) -> Any:
    """A Feather or Arrow file, or an Arrow stream, as a `pyarrow.Table`.

    Raises:
        SourceError: it is damaged.
    """
    content = _in_memory(source)
    try:
        if content.getvalue().startswith(_STREAM):
            return pa.ipc.open_stream(content).read_all()
        return arrow_feather.read_table(content)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{source.path}: damaged Feather or Arrow ({one_line(error)}); {WANTED}; write the "
            "file again"
        ) from None


def _in_memory(source: FileBytes) -> io.BytesIO:
    # These kinds are read from their end, which a packed stream cannot seek to.
    with source.open() as stream:
        return io.BytesIO(stream.read())
