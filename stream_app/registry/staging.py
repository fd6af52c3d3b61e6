"""Writes a version's folder whole or not at all: staged, loaded back, renamed into place.

Several workers may write at the same time: each uses names of its own.
"""

from __future__ import annotations

import errno
import logging
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from stream_app.errors import ArtifactError
from stream_app.models.model_set import ModelSet
from stream_app.registry.disk import discard, remove_file, require_folder, sync_folder

logger = logging.getLogger(__name__)

STALE_S: Final = 3600.0
"""Unfinished files older than this were left by a killed writer, because writing takes seconds."""
MOVE_TRIES: Final = 3
"""Tries to rename a version that another worker publishes or removes at the same moment."""
_STAGING: Final = ".staging-"


def write_whole(
    folder: Path,
    version: str,
    *,
    write: Callable[[Path], None],
    load: Callable[[Path], ModelSet],
) -> ModelSet:
    """Let a version be written to a staging folder, load it back, and move it into place.

    Args:
        folder: of the symbol; made where it is not there.
        version: its name, and that of its place in the folder.
        write: writes its files into a folder.
        load: loads it from a folder after checking all of it.

    Returns:
        It, loaded.

    Raises:
        ArtifactError: it cannot be written or loaded back.
    """
    staging = folder / f"{_STAGING}{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        require_folder(folder)
        _remove_stale(folder)
        staging.mkdir()
        write(staging)
        return _move_in(staging, folder / version, load(staging), load)
    except OSError as error:
        raise ArtifactError(
            f"model registry {folder}: {error.strerror or error}; free space or fix the "
            "permissions; the old models keep serving"
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_in(
    staging: Path, place: Path, models: ModelSet, load: Callable[[Path], ModelSet]
) -> ModelSet:
    """Rename a staged version into place, unless an intact equal one is already there."""
    for left in reversed(range(MOVE_TRIES)):
        try:
            staging.rename(place)
            break
        except OSError as error:
            if not left or error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
        try:
            return load(place)
        except ArtifactError as damage:
            logger.warning("%s; replacing it", damage)
        discard(place)
    sync_folder(place.parent)
    return models


def _remove_stale(folder: Path) -> None:
    """Remove what killed writers have left. Another worker may do the same at this moment."""
    for path in folder.iterdir():
        if not path.name.startswith(_STAGING):
            continue
        try:
            stale = time.time() - path.lstat().st_mtime > STALE_S
        except OSError:
            continue
        if stale:
            shutil.rmtree(path, ignore_errors=True)
            remove_file(path)
