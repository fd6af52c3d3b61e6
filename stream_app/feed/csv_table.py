"""CSV: lines of fields, below a header or without one."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from stream_app.errors import SourceError
from stream_app.feed.csv_head import read_csv_head
from stream_app.feed.layout import Layout
from stream_app.feed.problems import Problem
from stream_app.feed.source import WANTED, FileBytes, no_rows, one_line


class CsvTable:
    """Lines of fields; see `Table`. Empty lines are passed over."""

    def __init__(self, source: FileBytes, beginning: bytes, layout: Layout | None) -> None:
        self._source = source
        self.head = read_csv_head(source.path, beginning, layout)
        self.bad_lines: Problem | None = None
        self._bad = np.zeros(0, dtype=np.int64)

    def read(self, positions: Sequence[int]) -> dict[int, Any]:
        """The columns as text, empty fields as null."""
        first: list[Any] = []
        numbers: list[int] = []

        def leave_out(row: Any) -> str:
            if not first:
                first.append(row)
            numbers.append(row.number - 1 - self.head.skipped)
            return "skip"

        # By position, since names may repeat. All as text: a value that is no number must be
        # shown as it stands, and 19-digit times must not pass through a float.
        chosen = [str(position) for position in positions]
        try:
            with self._source.open() as stream:
                table = arrow_csv.read_csv(
                    stream,
                    read_options=arrow_csv.ReadOptions(
                        column_names=[str(position) for position in range(len(self.head.names))],
                        skip_rows=self.head.skipped,
                        encoding=self.head.encoding.removesuffix("-sig"),
                        use_threads=False,  # else a bad row does not know its number
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=self.head.delimiter, invalid_row_handler=leave_out
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        include_columns=chosen,
                        column_types=dict.fromkeys(chosen, pa.string()),
                        null_values=[""],
                        strings_can_be_null=True,
                    ),
                )
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            if "Empty CSV" in str(error):
                raise no_rows(self._source.path) from None
            raise SourceError(
                f"{self._source.path}: not CSV ({one_line(error)}); {WANTED}; say in which "
                "encoding it is, such as --encoding cp1252, or export it as CSV in UTF-8"
            ) from None
        self._bad = np.array(sorted(numbers), dtype=np.int64)
        if first:
            row = first[0]
            self.bad_lines = Problem(
                kind="wrong_fields",
                row=numbers[0],
                found=f"{row.text[:60]!r} has {row.actual_columns} fields",
                wanted=f"{row.expected_columns} as in the "
                + ("header" if self.head.has_header else "first line"),
                remedy="put quotes around values in which a separator stands"
                if row.actual_columns > row.expected_columns
                else "",
                count=len(numbers),
            )
        if not table.num_rows and not first:
            raise no_rows(self._source.path)
        return {position: trimmed(table.column(str(position))) for position in positions}

    def data_row(self, row: int) -> int:
        """With the lines that `read` left out."""
        before = np.searchsorted(self._bad - np.arange(len(self._bad)), row, side="right")
        return row + int(before)

    def places(self, data_rows: Sequence[int]) -> list[str]:
        """`line N`, counting every line: where an editor shows it."""
        found = dict.fromkeys(data_rows, "")
        last = max(data_rows)
        coding, skipped = self.head.encoding, self.head.skipped
        with (
            self._source.open() as stream,
            io.TextIOWrapper(stream, encoding=coding, errors="replace", newline="") as text,
        ):
            lines = itertools.islice(text, skipped, None)
            reader = csv.reader(lines, delimiter=self.head.delimiter)
            line, row = skipped + 1, 0
            for fields in reader:
                if fields:
                    if row in found:
                        found[row] = f"line {line}"
                    row += 1
                if row > last:
                    break
                line = skipped + reader.line_num + 1
        return [found[row] or f"row {row + 1}" for row in data_rows]


class RowTable(CsvTable):
    """Rows that have been made lines: where one stands is told by its number."""

    def places(self, data_rows: Sequence[int]) -> list[str]:
        """`row N`, from 1."""
        return [f"row {row + 1}" for row in data_rows]


def trimmed(texts: Any) -> Any:
    """Text without blanks around it; nothing becomes null."""
    bare = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(bare, ""), pa.scalar(None, pa.string()), bare)
