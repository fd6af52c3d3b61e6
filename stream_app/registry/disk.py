"""Reading and writing that trust nothing on the disk: whole files or none, and no links."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import uuid
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, and flush it to disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_regular(path: Path, most: int) -> bytes:
    """The content of a regular file. It follows no link and does not wait on a pipe.

    Raises:
        OSError: the file is missing, not a regular file, or larger than `most` bytes.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"{found.st_size} bytes, expected at most {most}")
        return file.read(most)


def require_folder(folder: Path) -> None:
    """Refuse a symbolic link, which could lead out of DATA_DIR.

    Raises:
        OSError: it is a symbolic link, not a folder, or missing.
    """
    mode = folder.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "a symbolic link, which is not followed")
    if not stat.S_ISDIR(mode):
        raise OSError(errno.ENOTDIR, "not a folder")


def discard(place: Path) -> None:
    """Remove a version at once: a reader finds all of it or nothing."""
    aside = place.with_name(f".staging-{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # another worker was faster, or it cannot be removed
        place.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
    remove_file(aside)


def remove_file(path: Path) -> None:
    """Remove a file, if it exists and can be removed."""
    with contextlib.suppress(OSError):
        path.unlink()


def reason(error: OSError) -> str:
    """Why an operation on the disk failed, for a message."""
    if error.errno == errno.ELOOP:
        return "a symbolic link, which is not followed"
    return error.strerror or str(error)
