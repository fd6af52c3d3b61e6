"""What a long command writes: the file that an option names, and the folder that keeps its work."""

from __future__ import annotations

import contextlib
import errno
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from stream_app.errors import OutputError
from stream_app.registry.disk import reason


def require_output(path: Path, option: str) -> None:
    """Refuse a file that cannot be written, before there is anything to lose.

    A new file is made and removed again. What is no file, such as a pipe, is not opened: that
    could wait for a reader.

    Args:
        path: of the file.
        option: that names it.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        if not path.exists():
            with path.open("xb") as file:
                file.write(b" ")  # a full disk may have a name left, and no room for a byte
            path.unlink()
        elif stat.S_ISREG(path.stat().st_mode):
            path.open("ab").close()
    except OSError as error:
        raise OutputError(
            f"{option} {path}: cannot be written ({reason(error)}); give another file"
        ) from None


def write_output(path: Path, text: str, option: str) -> None:
    """Write it.

    Raises:
        OutputError: it cannot be written, or not to its end.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{option} {path}: cannot be written ({reason(error)}); run the command again with "
            "another file: what it trained is kept"
        ) from None


@contextlib.contextmanager
def keeping_in(folder: Path, data_dir: Path) -> Iterator[None]:
    """Make a folder below DATA_DIR, and say in one line where it takes nothing, or no more.

    Raises:
        OutputError: it does not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
        yield
    except OSError as error:
        is_ours = str(error.filename or "").startswith(str(data_dir))
        if not (is_ours or error.errno in (errno.ENOSPC, errno.EDQUOT)):
            raise
        raise OutputError(
            f"DATA_DIR={data_dir}: cannot write in {folder}: {reason(error)}; name a folder that "
            "this user can write in, or free space: what is kept is not trained again"
        ) from None
