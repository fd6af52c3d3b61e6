"""CSV: lines of fields, below a header or without one."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from stream_app.errors import SourceError
from stream_app.feed.csv_text import decodes, delimiter, encoding
from stream_app.feed.headers import (
    are_values,
    comma_in_a_date,
    is_value,
    likely_names,
    other_separator,
)
from stream_app.feed.layout import Layout, recognised
from stream_app.feed.problems import Problem
from stream_app.feed.source import WANTED, FileBytes, one_line

_SHOWN_LINES: Final = 3
_SEP_LINE: Final = re.compile(r'"?sep=(.)"?[ \t]*\n', re.IGNORECASE)
"""The line that tells Excel what separates the fields."""


class CsvTable:
    """Lines of fields; see `Table`. Empty lines are passed over."""

    def __init__(self, source: FileBytes, head: bytes, layout: Layout | None) -> None:
        self._source = source
        self._path = source.path
        self.bad_lines: Problem | None = None
        self._bad = np.zeros(0, dtype=np.int64)
        self._encoding = encoding(head, layout)
        text = self._decoded(head)
        self.taken_for: str | None = None
        given = layout or Layout()
        said = _SEP_LINE.match(text) if not given.skip_lines else None
        found = recognised(text) if said is None and _may_be_recognised(layout) else None
        if found is not None:
            self.taken_for, known = found
            given = known.overlaid(
                columns=given.columns,
                encoding=given.encoding,
                decimal=given.decimal,
                time_format=given.time_format,
                time_zone=given.time_zone,
            )
        if said is not None:
            given = given.overlaid(skip_lines=1, delimiter=given.delimiter or said[1])
        self.layout = given
        lines = text.split("\n")
        start = given.skip_lines
        while start < len(lines) and not lines[start].strip():
            start += 1
        body = lines[start:]
        if not body:
            raise no_rows(self._path)
        self.delimiter: str = given.delimiter or delimiter(body[0])
        self._has_header = not self._is_headerless(body[0])
        width = len(self._fields(body[0]))
        self._skipped = start + given.header_lines if self._has_header else start
        self.symbol = self._symbol(body)
        rows = body[given.header_lines :] if self._has_header else body
        filled = [self._fields(line) for line in rows[:-1] or rows if line.strip()]
        self.first_row: Sequence[str] = filled[0] if filled else ()
        self._filled = filled
        if self._has_header:
            self.names: Sequence[str] = self._names(body[: given.header_lines])
            self._check_header(lines, start, filled)
        else:
            self.names = list(given.names) or [str(nth + 1) for nth in range(width)]
            if len(self.names) != width:
                raise SourceError(
                    f"{self._path}: {width} columns, {body[0][:60]!r}, and "
                    f"{len(self.names)} names; looked for as many of both; name every column "
                    "with --names"
                )

    def _decoded(self, head: bytes) -> str:
        decoder = codecs.getincrementaldecoder(self._encoding)()
        try:
            text = decoder.decode(head)
        except UnicodeDecodeError:
            if not decodes(head.split(b"\n", 1)[0], self._encoding):
                raise self._not_text(head) from None
            raise SourceError(
                f"{self._path}: not CSV (not all of it is {self._encoding}); {WANTED}; say in "
                "which encoding it is, such as --encoding cp1252, or export it as CSV in UTF-8"
            ) from None
        first = text.splitlines()[0] if text.strip() else ""
        if not first.replace("\t", "").isprintable():
            raise self._not_text(head)
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _not_text(self, head: bytes) -> SourceError:
        return SourceError(
            f"{self._path}: not text in {self._encoding.upper().removesuffix('-SIG')}, it begins "
            f"with {head[:16]!r}; {WANTED}; say in which encoding it is with --encoding, or export "
            "it as CSV"
        )

    def _fields(self, line: str) -> list[str]:
        return next(csv.reader([line], delimiter=self.delimiter), [])

    def _is_headerless(self, line: str) -> bool:
        """Whether the first line is a row: because names are given, or columns by number."""
        if self.layout.names:
            return True
        by_number = all(
            part.strip().isdecimal()
            for wanted in self.layout.columns.values()
            for part in wanted.split("+")
        )
        return bool(self.layout.columns) and by_number and are_values(self._fields(line))

    def _names(self, header: Sequence[str]) -> list[str]:
        """Each column's name: the lowest that the header's lines have, without the symbols'."""
        names = self._fields(header[0])
        for number, line in enumerate(header[1:], 2):
            if number != self.layout.symbol_line:
                for at, name in enumerate(self._fields(line)[: len(names)]):
                    names[at] = name.strip() or names[at]
        return names

    def _symbol(self, body: Sequence[str]) -> str | None:
        if self.layout.symbol_line is None or len(body) < self.layout.symbol_line:
            return None
        found = {field.strip() for field in self._fields(body[self.layout.symbol_line - 1])[1:]} - {
            ""
        }
        if len(found) != 1:
            raise SourceError(
                f"{self._path}: {len(found)} symbols side by side in line "
                f"{self.layout.symbol_line} ({', '.join(sorted(found)[:5])}); looked for one; "
                "export each in a file of its own"
            )
        return found.pop()

    def _check_header(
        self, lines: Sequence[str], start: int, filled: Sequence[Sequence[str]]
    ) -> None:
        shown = lines[start][:60]
        below = {len(fields) for fields in filled[:_SHOWN_LINES]}
        if len(below) == 1 and 1 < max(below) != len(self.names):
            fits = next(iter(below))
            if fits == len(self.names) + 1 and not any(fields[-1].strip() for fields in filled):
                self.names = [*self.names, ""]  # each row ends with a separator, the header not
                return
            if options := comma_in_a_date(self.names, filled[0], start + 1):
                raise SourceError(
                    f"{self._path}: line {start + 1}, {shown!r}, has {len(self.names)} fields and "
                    f"the lines below it {fits}; looked for as many of both; put quotes around "
                    f"the times, whose comma separates fields, or give {options}"
                )
            if delimiter(lines[start]) == self.delimiter and not are_values(filled[0]):
                raise SourceError(
                    f"{self._path}: line {start + 1}, {shown!r}, has {len(self.names)} fields and "
                    f"the lines below it {fits}; looked for a header; pass over the lines above "
                    f"it with --skip-lines {start + 1}"
                )
        if len(self.names) < 2:
            mark = other_separator(lines[start])
            other = (
                f"if it is {mark!r}, write delimiter = {mark!r} to a --layout file; "
                if mark
                else ""
            )
            raise SourceError(
                f"{self._path}: one column in the first line, {shown!r}; {WANTED}, separated by "
                f"comma, semicolon, tab or bar; {other}pass over remarks above the header with "
                "--skip-lines N, or check that it is the right file"
            )
        if are_values(self.names):
            likely = likely_names(self.names)
            raise SourceError(
                f"{self._path}: no header line, the first line is {shown!r}; {WANTED}; name its "
                f"{len(self.names)} columns with --names"
                + (f" {likely}" if likely else "")
                + ", or put a line with the columns' names first, such as time,price"
            )

    @property
    def texts(self) -> Sequence[int]:
        """By the rows at the file's beginning."""
        found = {
            at
            for fields in self._filled
            for at, field in enumerate(fields[: len(self.names)])
            if re.search(r"[^\W\d_]", field) and not is_value(field)
        }
        return sorted(found)

    def read(self, positions: Sequence[int]) -> dict[int, Any]:
        """The columns as text, empty fields as null."""
        first: list[Any] = []
        numbers: list[int] = []

        def leave_out(row: Any) -> str:
            if not first:
                first.append(row)
            numbers.append(row.number - 1 - self._skipped)
            return "skip"

        # By position, since names may repeat. All as text: a value that is no number must be
        # shown as it stands, and 19-digit times must not pass through a float.
        chosen = [str(position) for position in positions]
        try:
            with self._source.open() as stream:
                table = arrow_csv.read_csv(
                    stream,
                    read_options=arrow_csv.ReadOptions(
                        column_names=[str(position) for position in range(len(self.names))],
                        skip_rows=self._skipped,
                        encoding=self._encoding.removesuffix("-sig"),
                        use_threads=False,  # else a bad row does not know its number
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=self.delimiter, invalid_row_handler=leave_out
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
                raise no_rows(self._path) from None
            raise SourceError(
                f"{self._path}: not CSV ({one_line(error)}); {WANTED}; say in which encoding it "
                "is, such as --encoding cp1252, or export it as CSV in UTF-8"
            ) from None
        self._bad = np.array(sorted(numbers), dtype=np.int64)
        if first:
            row = first[0]
            self.bad_lines = Problem(
                kind="wrong_fields",
                row=numbers[0],
                found=f"{row.text[:60]!r} has {row.actual_columns} fields",
                wanted=f"{row.expected_columns} as in the "
                + ("header" if self._has_header else "first line"),
                remedy="put quotes around values in which a separator stands"
                if row.actual_columns > row.expected_columns
                else "",
                count=len(numbers),
            )
        if not table.num_rows and not first:
            raise no_rows(self._path)
        return {position: trimmed(table.column(str(position))) for position in positions}

    def data_row(self, row: int) -> int:
        """With the lines that `read` left out."""
        before = np.searchsorted(self._bad - np.arange(len(self._bad)), row, side="right")
        return row + int(before)

    def places(self, data_rows: Sequence[int]) -> list[str]:
        """`line N`, counting every line: where an editor shows it."""
        found = dict.fromkeys(data_rows, "")
        last = max(data_rows)
        with (
            self._source.open() as stream,
            io.TextIOWrapper(stream, encoding=self._encoding, errors="replace", newline="") as text,
        ):
            lines = itertools.islice(text, self._skipped, None)
            reader = csv.reader(lines, delimiter=self.delimiter)
            line, row = self._skipped + 1, 0
            for fields in reader:
                if fields:
                    if row in found:
                        found[row] = f"line {line}"
                    row += 1
                if row > last:
                    break
                line = self._skipped + reader.line_num + 1
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


def no_rows(path: Path) -> SourceError:
    """The refusal of a file without rows."""
    return SourceError(f"{path}: a header and no rows; {WANTED}; give a file with rows")


def _may_be_recognised(layout: Layout | None) -> bool:
    """Whether what is given leaves open how the file is laid out."""
    if layout is None:
        return True
    told = layout.names or layout.skip_lines or layout.delimiter or layout.title
    return not told and layout.header_lines == 1
