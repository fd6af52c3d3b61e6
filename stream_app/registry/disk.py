"""Reading and writing that trust nothing on the disk: whole files or none, and no links."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from stream_app.errors import ConfigError


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, and flush it to disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def require_writable(data_dir: Path) -> None:
    """Make DATA_DIR and the folders in it, and refuse it where a file cannot be written.

    It writes a file in each folder and removes it: permissions do not bind root, and a mount may be
    read-only or full. Blocks on the disk. Called by the worker before it starts.

    Raises:
        ConfigError: one line that names the folder, the reason and the remedy.
    """
    faust, models, windows = (data_dir / name for name in ("faust", "models", "windows"))
    folder = data_dir
    try:
        for folder in (data_dir, faust, models, windows):
            folder.mkdir(parents=True, exist_ok=True)
            _probe(folder, write_new)
        for folder in (*faust.rglob("*"), *models.iterdir()):
            if folder.is_dir() and not folder.is_symlink():
                _probe(folder, Path.write_bytes)  # down to the disk would take too long
    except OSError as error:
        raise ConfigError(
            f"DATA_DIR={data_dir}: cannot write in {folder}: {reason(error)}; name a folder that "
            "this user can write in"
        ) from None


def _probe(folder: Path, write: Callable[[Path, bytes], object]) -> None:
    file = folder / f".probe-{uuid.uuid4().hex}"
    write(file, b"x")
    file.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_regular(path: Path, most: int) -> bytes:
    """The content of a regular file, as `open_regular`.

    Raises:
        OSError: the file is missing, not a regular file, or larger than `most` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"{size} bytes, expected at most {most}")
        return file.read(most)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. It follows no link and does not wait on a pipe.

    Raises:
        OSError: the file is missing, or not a regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file")
    return file


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
