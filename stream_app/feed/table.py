"""Open a file by what is in it, and hand out chosen columns as they stand in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from stream_app.errors import SourceError
from stream_app.feed.arrow_table import ArrowTable, read_ipc, read_parquet
from stream_app.feed.csv_table import CsvTable, RowTable
from stream_app.feed.head import Head
from stream_app.feed.json_table import JsonRows, json_start, read_array, read_objects
from stream_app.feed.layout import Layout
from stream_app.feed.problems import Problem
from stream_app.feed.source import HEAD_BYTES, WANTED, FileBytes

_PARQUET: Final = b"PAR1"
_ARROW: Final = (b"ARROW1", b"FEA1", b"\xff\xff\xff\xff")


class Table(Protocol):
    """What a file's beginning says, and its columns on demand."""

    @property
    def head(self) -> Head:
        """What its beginning says."""
        ...

    def read(self, positions: Sequence[int]) -> dict[int, Any]:
        """The columns at these positions, each a `pyarrow.ChunkedArray` of the same length.

        Their types are string, integer, float, decimal, date, timestamp or null. Strings have
        no blanks around them, and an empty one is null. Blocks on reading the file; call it once.
        """
        ...

    @property
    def bad_lines(self) -> Problem | None:
        """What `read` left out because it has another number of fields than the header."""
        ...

    def data_row(self, row: int) -> int:
        """Which row of the file, from 0 and with those left out, a row of the columns is."""
        ...

    def places(self, data_rows: Sequence[int]) -> list[str]:
        """Where rows of the file stand in it, in a user's words. Blocks on reading it again."""
        ...


def open_table(path: Path, layout: Layout | None = None) -> Table:
    """Open a file, whatever its name says. Blocks on reading its beginning.

    Args:
        path: the file.
        layout: what is known of it; without one a CSV file is recognised by its first lines.

    Raises:
        SourceError: no such file, a directory, unreadable, empty, damaged, or of no known kind.
            Also raised by the table's methods.
    """
    source = FileBytes(path)
    head = source.head()
    if not head:
        raise SourceError(f"{path}: empty; {WANTED}; give a file with rows")
    typed = layout or Layout()
    if head.startswith(_PARQUET) or ".parquet" in path.suffixes:
        return ArrowTable(path, read_parquet(source), typed)
    if head.startswith(_ARROW):
        return ArrowTable(path, read_ipc(source), typed)
    start = json_start(head)
    if start == b"{":
        return _of_json(path, read_objects(source, typed.encoding), typed)
    if start == b"[":
        found = read_array(source, typed.encoding)
        if isinstance(found, JsonRows):
            return _of_json(path, found, typed)
        return RowTable(
            FileBytes(path, found), found[:HEAD_BYTES], typed.overlaid(encoding="utf-8")
        )
    return CsvTable(source, head, layout)


def _of_json(path: Path, rows: JsonRows, layout: Layout) -> ArrowTable:
    return ArrowTable(path, rows.table, layout, lines=rows.lines, bad_lines=rows.bad_lines)
