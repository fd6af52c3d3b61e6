"""Copies of partitions' windows in files on this disk: whole ones or none. Blocks on the disk.

    DATA_DIR/windows/TOPIC-PARTITION.zip with the members `head`, 0, 1, ...

A zip file has a checksum of each member. Its members are not compressed: numbers hardly get
smaller, and a restart waits for them.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from stream_app.recovery.copy_parts import Head, SymbolPart
from stream_app.registry.disk import open_regular, remove_file, sync_folder

FOLDER: Final = "windows"
UNUSABLE: Final = (
    OSError,
    BadZipFile,
    zlib.error,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,  # it calls itself encrypted, or of a form that `zipfile` does not know
)
"""What reading a file raises that is not as it was written."""
_STALE_S: Final = 3600.0
"""Unfinished files older than this were left by a killed writer."""
_HEAD: Final = "head"


class LocalCopies:
    """The copies in one DATA_DIR."""

    def __init__(self, data_dir: Path, topic: str, made_by: str) -> None:
        """Read nothing yet.

        Args:
            data_dir: whose.
            topic: of the bars.
            made_by: as of `Head`.
        """
        self._folder = data_dir / FOLDER
        self._topic = topic
        self.made_by = made_by

    def path(self, partition: int) -> Path:
        """Of a partition's copy."""
        return self._folder / f"{self._topic}-{partition}.zip"

    @contextlib.contextmanager
    def reading(self, partition: int) -> Iterator[Copy | None]:
        """Open a partition's copy; None where there is none, or of another version or settings.

        Raises:
            One of UNUSABLE, also while it is read: it is not as it was written.
        """
        try:
            file = open_regular(self.path(partition))
        except FileNotFoundError:
            yield None
            return
        with file, ZipFile(file) as members:
            copy = Copy(members)
            yield copy if copy.head.made_by == self.made_by else None

    @contextlib.contextmanager
    def writing(self, partition: int) -> Iterator[NewCopy]:
        """Begin a copy that takes the place of the one before once it is finished.

        Raises:
            OSError: it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob(".*.part"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _STALE_S:
                    left.unlink()
        part = self._folder / f".{uuid.uuid4().hex}.part"
        try:
            with part.open("xb") as file, ZipFile(file, "w", ZIP_STORED) as members:
                yield NewCopy(members, file, part, self.path(partition))
        finally:
            remove_file(part)


class Copy:
    """An open copy."""

    def __init__(self, members: ZipFile) -> None:
        """Read its head. Raises as `LocalCopies.reading`."""
        self._members = members
        self.head = Head.of(self._content(_HEAD))

    def symbol(self, number: int) -> SymbolPart:
        """One of its symbols. Raises as `LocalCopies.reading`."""
        return SymbolPart.of(self._content(str(number)))

    def _content(self, name: str) -> bytes:
        if self._members.getinfo(name).compress_type != ZIP_STORED:
            raise BadZipFile(f"{name} is compressed")  # it could be of any size
        return self._members.read(name)


class NewCopy:
    """A copy that is being written."""

    def __init__(self, members: ZipFile, file: IO[bytes], part: Path, path: Path) -> None:
        self._zip = members
        self._file = file
        self._part = part
        self._path = path
        self._count = 0

    def add(self, symbol: SymbolPart) -> None:
        """Add a symbol."""
        self._write(str(self._count), symbol.packed())
        self._count += 1

    def finish(self, head: Head) -> None:
        """Put it in the place of the one before."""
        self._write(_HEAD, head.packed())
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.rename(self._path)
        sync_folder(self._path.parent)

    def _write(self, name: str, content: bytes) -> None:
        # With a date of its own: by name alone it has the clock's, which may be before 1980.
        self._zip.writestr(ZipInfo(name), content)
