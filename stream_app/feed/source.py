"""A file's bytes, whatever they are packed in: gzip, zip with one member, zstd."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from stream_app.errors import SourceError

WANTED: Final = (
    "looked for CSV, JSON lines, Parquet, Feather or Arrow, plain or in gzip, zip or zstd"
)
HEAD_BYTES: Final = 1 << 16
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_MAGIC_BYTES: Final = 4


class FileBytes:
    """A file that can be read from its beginning as often as needed."""

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            raise SourceError(f"{path}: a directory; {WANTED}; name one file in it")
        if not path.exists():
            raise SourceError(f"{path}: no such file; {WANTED}; check the path")
        self.path = path
        # A pipe gives its bytes once.
        self._kept = None if path.is_file() else path.read_bytes()

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader[Any]]:
        """The unpacked bytes, from the first one. Blocks on reading.

        Raises:
            SourceError: the package is damaged, or a zip has not exactly one member. Also raised
                from within, while the bytes are read.
        """
        packing = None
        try:
            with self._raw() as raw:
                magic = raw.peek(_MAGIC_BYTES)[:_MAGIC_BYTES]
                if magic.startswith(_GZIP):
                    with gzip.GzipFile(fileobj=raw) as unpacked:
                        yield io.BufferedReader(unpacked)
                elif magic == _ZIP:
                    with zipfile.ZipFile(raw) as archive, archive.open(self._member(archive)) as it:
                        yield io.BufferedReader(it)
                elif magic == _ZSTD:
                    packing = "zstd"
                    with pa.CompressedInputStream(pa.PythonFile(raw), "zstd") as unpacked:
                        yield io.BufferedReader(unpacked)
                else:
                    yield raw
        except (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
            kind = "zip" if isinstance(error, zipfile.BadZipFile) else "gzip"
            raise SourceError(
                f"{self.path}: damaged {kind} ({one_line(error)}); {WANTED}; copy the file again"
            ) from None
        except OSError as error:
            if packing == "zstd":
                raise SourceError(
                    f"{self.path}: damaged zstd ({one_line(error)}); {WANTED}; copy the file again"
                ) from None
            raise SourceError(
                f"{self.path}: cannot be read ({one_line(error)}); {WANTED}; check it and its "
                "permissions"
            ) from None

    def head(self) -> bytes:
        """The first unpacked bytes, at most `HEAD_BYTES`."""
        with self.open() as stream:
            return stream.read(HEAD_BYTES)

    @contextmanager
    def _raw(self) -> Iterator[io.BufferedReader[Any]]:
        if self._kept is not None:
            yield io.BufferedReader(io.BytesIO(self._kept))
            return
        with self.path.open("rb") as raw:
            yield raw

    def _member(self, archive: zipfile.ZipFile) -> str:
        """The only file of an archive; what macOS adds to one does not count."""
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
        if "[Content_Types].xml" in names:
            raise SourceError(f"{self.path}: an Excel workbook; {WANTED}; export the sheet as CSV")
        if len(names) != 1:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise SourceError(
                f"{self.path}: a zip of {len(names)} files ({shown}); looked for one; unpack it "
                "and name the files"
            )
        return names[0]


def one_line(error: BaseException) -> str:
    """An error's own words on one line."""
    return " ".join(str(error).split())[:120]
