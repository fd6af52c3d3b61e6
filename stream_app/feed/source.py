"""A file's bytes, whatever they are packed in: gzip, bzip2, xz, zstd, zip with one member."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa

from stream_app.errors import SourceError

WANTED: Final = (
    "looked for CSV, JSON, Parquet, Feather or Arrow, plain or in gzip, zip, zstd, bzip2 or xz"
)
HEAD_BYTES: Final = 1 << 16
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_BZIP2: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\0"
_MAGIC_BYTES: Final = 6
_DAMAGED: Final = (*(EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile),)
_UNPACKABLE: Final = (NotImplementedError, RuntimeError)
"""As `zipfile` says of a method of packing that it does not know, and of a password."""
_FOREIGN: Final = (
    (_GZIP, 0, "gzip in another package"),
    (_BZIP2, 0, "bzip2 in another package"),
    (_XZ, 0, "xz in another package"),
    (_ZSTD, 0, "zstd in another package"),
    (_ZIP, 0, "zip in another package"),
    (b"\x04\x22\x4d\x18", 0, "lz4"),
    (b"\x1f\x9d", 0, "compress"),
    (b"]\0\0", 0, "lzma"),
    (b"7z\xbc\xaf", 0, "7-Zip"),
    (b"Rar!", 0, "RAR"),
    (b"PK\x05\x06", 0, "a zip of nothing"),
    (b"ustar", 257, "tar"),
)
"""Bytes, where they stand, and what is packed so."""
_REMARKS: Final = (".txt", ".md", ".pdf", ".html", ".htm", ".xml")
"""What is no table where a zip has one that is named otherwise."""
MOST_UNPACKED_BYTES: Final = 1 << 28
"""What any file may unpack to; a larger one may unpack to `MOST_TIMES` its size."""
MOST_TIMES: Final = 200
"""Prices pack to a tenth, prices that do not move to a hundredth, a bomb to a thousandth."""


class FileBytes:
    """A file that can be read from its beginning as often as needed."""

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        self.path = path
        self._kept = content
        if content is not None:  # what has been made of the file
            return
        if path.is_dir():
            raise SourceError(f"{path}: a directory; {WANTED}; name one file in it")
        if str(path) == "-" and not path.exists():
            raise SourceError(
                f"-: no such file; {WANTED}; for standard input give /dev/stdin and --symbol NAME"
            )
        if not path.exists():
            raise SourceError(f"{path}: no such file; {WANTED}; check the path")
        # A pipe gives its bytes once.
        self._kept = None if path.is_file() else path.read_bytes()

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader[Any]]:
        """The unpacked bytes, from the first one. Blocks on reading.

        Raises:
            SourceError: the package is damaged, a zip has not exactly one member, or it unpacks
                to absurdly much. Also raised from within, while the bytes are read.
        """
        packing, magic = None, b""
        try:
            with self._raw() as raw:
                magic = raw.peek(_MAGIC_BYTES)[:_MAGIC_BYTES]
                if magic.startswith(_GZIP):
                    with gzip.GzipFile(fileobj=raw) as unpacked:
                        yield self._bounded(unpacked)
                elif magic.startswith((_BZIP2, _XZ)):
                    packing = "bzip2" if magic.startswith(_BZIP2) else "xz"
                    opened = bz2.BZ2File if packing == "bzip2" else lzma.LZMAFile
                    with opened(raw) as unpacked:
                        yield self._bounded(unpacked)
                elif magic.startswith(_ZIP):
                    with zipfile.ZipFile(raw) as archive, archive.open(self._member(archive)) as it:
                        yield self._bounded(it)
                elif magic.startswith(_ZSTD):
                    packing = "zstd"
                    with pa.CompressedInputStream(pa.PythonFile(raw), "zstd") as unpacked:
                        yield self._bounded(unpacked)
                else:
                    yield raw
        except _UNPACKABLE as error:
            if not magic.startswith(_ZIP):
                raise
            raise SourceError(
                f"{self.path}: a zip that cannot be unpacked here ({one_line(error)}); {WANTED}; "
                "unpack it and name the file in it"
            ) from None
        except _DAMAGED as error:
            kind = packing or ("gzip" if magic.startswith(_GZIP) else "zip")
            raise SourceError(
                f"{self.path}: damaged {kind} ({one_line(error)}); {WANTED}; copy the file again"
            ) from None
        except OSError as error:
            if packing is not None:
                raise SourceError(
                    f"{self.path}: damaged {packing} ({one_line(error)}); {WANTED}; copy the file "
                    "again"
                ) from None
            raise SourceError(
                f"{self.path}: cannot be read ({one_line(error)}); {WANTED}; check it and its "
                "permissions"
            ) from None

    def head(self) -> bytes:
        """The first unpacked bytes, at most `HEAD_BYTES`.

        Raises:
            SourceError: as `open`; or it is packed in another way.
        """
        with self.open() as stream:
            head = stream.read(HEAD_BYTES)
        for magic, at, packing in _FOREIGN:
            if head.startswith(magic, at):
                raise SourceError(
                    f"{self.path}: packed as {packing}; {WANTED}; unpack it and name the file in it"
                )
        return head

    @property
    def most_bytes(self) -> int:
        """How much of it is held in memory before it counts as a decompression bomb."""
        size = self.path.stat().st_size if self._kept is None else len(self._kept)
        return max(MOST_UNPACKED_BYTES, MOST_TIMES * size)

    def too_large(self) -> SourceError:
        """The refusal of a file that unpacks to more than `most_bytes`."""
        return SourceError(
            f"{self.path}: unpacks to more than {self.most_bytes / 2**20:,.0f} MiB, over "
            f"{MOST_TIMES} times its size; looked for prices, which pack to a tenth; check where "
            "it comes from, or split it"
        )

    def _bounded(self, unpacked: _Readable) -> io.BufferedReader[Any]:
        return io.BufferedReader(_Bounded(unpacked, self.most_bytes, self.too_large))

    @contextmanager
    def _raw(self) -> Iterator[io.BufferedReader[Any]]:
        if self._kept is not None:
            yield io.BufferedReader(io.BytesIO(self._kept))
            return
        with self.path.open("rb") as raw:
            yield raw

    def _member(self, archive: zipfile.ZipFile) -> str:
        """The only file of an archive; a checksum and what macOS adds do not count."""
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/")
            and not name.startswith("__MACOSX/")
            and not name.upper().endswith(".CHECKSUM")
        ]
        if "[Content_Types].xml" in names:
            raise SourceError(f"{self.path}: an Excel workbook; {WANTED}; export the sheet as CSV")
        tables = [name for name in names if not name.lower().endswith(_REMARKS)]
        if len(tables) == 1:  # HistData puts a report next to the file
            return tables[0]
        if len(names) != 1:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise SourceError(
                f"{self.path}: a zip of {len(names)} files ({shown}); looked for one; unpack it "
                "and name the files"
            )
        return names[0]


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Bounded(io.RawIOBase):
    """Reads on until there is too much."""

    def __init__(
        self, unpacked: _Readable, most_bytes: int, too_large: Callable[[], SourceError]
    ) -> None:
        self._unpacked = unpacked
        self._left = most_bytes
        self._too_large = too_large

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        got = self._unpacked.read(len(view))
        self._left -= len(got)
        if self._left < 0:
            raise self._too_large()
        view[: len(got)] = got
        return len(got)


def utf16_of(head: bytes) -> str | None:
    """The UTF-16 that a text is in, by its mark or by the zeros between its first letters.

    >>> utf16_of("time,price".encode("utf-16-le")), utf16_of(b"time,price")
    ('utf-16-le', None)
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for at, name in enumerate(("utf-16-le", "utf-16-be")):
        letters, zeros = head[at:8:2], head[1 - at : 8 : 2]
        if zeros == bytes(4) and letters.isascii() and letters.decode().strip().isprintable():
            return name
    return None


def one_line(error: BaseException) -> str:
    """An error's own words on one line."""
    return " ".join(str(error).split())[:120]


def no_rows(path: Path) -> SourceError:
    """The refusal of a file without rows."""
    return SourceError(f"{path}: a header and no rows; {WANTED}; give a file with rows")
