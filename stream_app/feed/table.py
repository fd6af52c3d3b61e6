"""Open a CSV or Parquet file, gzipped or not, and hand out chosen columns as they stand in it."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as arrow_parquet

from stream_app.errors import SourceError

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_DELIMITERS: Final = (",", ";", "\t", "|")
_PLAIN_TYPES: Final = (
    *(pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    *(pa.types.is_date, pa.types.is_timestamp, pa.types.is_null),
)
_MAX_HEADER_BYTES: Final = 1 << 20
_WANTED: Final = "looked for CSV with a header line, or Parquet, gzipped or not"


class Table(Protocol):
    """A file's header, and its columns on demand."""

    @property
    def names(self) -> Sequence[str]:
        """The header, in the file's order; names may repeat."""
        ...

    def read(self, positions: Sequence[int]) -> dict[int, Any]:
        """The columns at these positions, each a `pyarrow.ChunkedArray` of the same length.

        Their types are string, integer, float, decimal, date, timestamp or null. Strings have
        no blanks around them, and an empty one is null. Blocks on reading the file; call it once.
        """
        ...

    def place(self, row: int) -> str:
        """Where the data row `row`, from 0, stands in the file, in a user's words."""
        ...


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a file by what is in it, whatever its name says. Blocks on reading.

    Raises:
        SourceError: no such file, a directory, unreadable, empty, damaged, or neither CSV with a
            header nor Parquet. Also raised from within, while the file is read.
    """
    if path.is_dir():
        raise SourceError(f"{path}: a directory; {_WANTED}; name one file in it")
    if not path.exists():
        raise SourceError(f"{path}: no such file; {_WANTED}; check the path")
    try:
        with _uncompressed(path) as stream:
            head = stream.peek(4)[:4]
            if not head:
                raise SourceError(f"{path}: empty; {_WANTED}; give a file with rows")
            if head == _PARQUET or ".parquet" in path.suffixes:
                yield _Parquet(path, stream)
            else:
                yield _Csv(path, stream)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(
            f"{path}: damaged gzip ({_one_line(error)}); {_WANTED}; copy the file again"
        ) from None
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({_one_line(error)}); {_WANTED}; check it and its permissions"
        ) from None


@contextmanager
def _uncompressed(path: Path) -> Iterator[io.BufferedReader[Any]]:
    with path.open("rb") as stream:
        if stream.peek(2)[:2] != _GZIP:
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unzipped, io.BufferedReader(unzipped) as buffered:
            yield buffered


class _Csv:
    """Lines below a header. Empty lines are passed over."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self._stream = stream
        header = self._header(stream.readline(_MAX_HEADER_BYTES))
        self._delimiter = max(_DELIMITERS, key=header.count)
        self.names = next(csv.reader([header], delimiter=self._delimiter), [])
        if len(self.names) < 2:
            raise SourceError(
                f"{path}: one column in the first line, {header[:60]!r}; {_WANTED}, separated by "
                "comma, semicolon, tab or bar; check that it is the right file"
            )
        if 2 * sum(map(_is_value, self.names)) >= len(self.names):
            raise SourceError(
                f"{path}: no header line, the first line is {header[:60]!r}; {_WANTED}; put a line "
                "with the columns' names first, such as time,price"
            )

    def _header(self, line: bytes) -> str:
        try:
            header = line.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            header = "\0"
        if not header.isprintable() and not header.replace("\t", "").isprintable():
            raise SourceError(
                f"{self._path}: not text in UTF-8, it begins with {line[:16]!r}; {_WANTED}; "
                "export it as CSV"
            )
        return header

    def read(self, positions: Sequence[int]) -> dict[int, Any]:
        """The columns as text, empty fields as null."""
        bad_rows: list[Any] = []

        def refuse(row: Any) -> str:
            bad_rows.append(row)
            return "error"

        # By position, since names may repeat. All as text: a value that is no number must be
        # shown as it stands, and 19-digit times must not pass through a float.
        chosen = [str(position) for position in positions]
        try:
            table = arrow_csv.read_csv(
                self._stream,
                read_options=arrow_csv.ReadOptions(
                    column_names=[str(position) for position in range(len(self.names))],
                    use_threads=False,  # else a bad row does not know its number
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._delimiter, invalid_row_handler=refuse
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=chosen,
                    column_types=dict.fromkeys(chosen, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid as error:
            if bad_rows:
                row = bad_rows[0]
                raise SourceError(
                    f"{self._path} {self.place(row.number - 1)}: {row.text[:60]!r} has "
                    f"{row.actual_columns} fields; looked for {row.expected_columns} as in the "
                    "header; mend or remove the line"
                ) from None
            if "Empty CSV" in str(error):
                raise _no_rows(self._path) from None
            raise SourceError(
                f"{self._path}: not CSV ({_one_line(error)}); {_WANTED}; export it as CSV in UTF-8"
            ) from None
        if not table.num_rows:
            raise _no_rows(self._path)
        return {position: _trimmed(table.column(str(position))) for position in positions}

    def place(self, row: int) -> str:
        """`line N`, counting the header and the empty lines: where an editor shows it."""
        with _uncompressed(self._path) as stream:
            filled = (number for number, line in enumerate(stream, 1) if line.strip(b"\r\n"))
            for nth, number in enumerate(filled, -1):  # the header is row -1
                if nth == row:
                    return f"line {number}"
        return f"row {row + 1}"


class _Parquet:
    def __init__(self, path: Path, stream: io.BufferedReader[Any]) -> None:
        self._path = path
        zipped = isinstance(stream.raw, gzip.GzipFile)
        try:
            # Parquet is read from its end, which gzip cannot seek to.
            source = io.BytesIO(stream.read()) if zipped else stream
            self._file = arrow_parquet.ParquetFile(source)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{path}: not Parquet, or damaged ({_one_line(error)}); {_WANTED}; write the file "
                "again"
            ) from None
        self.names = self._file.schema_arrow.names

    def read(self, positions: Sequence[int]) -> dict[int, Any]:
        """The columns in the file's own types."""
        try:
            table = self._file.read(columns=[self.names[position] for position in positions])
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{self._path}: damaged Parquet ({_one_line(error)}); {_WANTED}; write it again"
            ) from None
        if not table.num_rows:
            raise _no_rows(self._path)
        return {position: self._plain(table, self.names[position]) for position in positions}

    def _plain(self, table: Any, name: str) -> Any:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        if not any(known(column.type) for known in _PLAIN_TYPES):
            raise SourceError(
                f"{self._path}: column {name!r} holds {column.type}; looked for numbers, text or "
                "times; name another one with --column ROLE=NAME"
            )
        return _trimmed(column) if pa.types.is_string(column.type) else column

    def place(self, row: int) -> str:
        """`row N`, from 1."""
        return f"row {row + 1}"


def _is_value(name: str) -> bool:
    """Whether a header's field looks like a price or a time, which no name does."""
    return re.match(r"\s*[+-]?\.?\d+(\.\d*)?\s*$|\s*\d{4}-\d\d-\d\d", name) is not None


def _trimmed(texts: Any) -> Any:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _no_rows(path: Path) -> SourceError:
    return SourceError(f"{path}: a header and no rows; {_WANTED}; give a file with rows")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
