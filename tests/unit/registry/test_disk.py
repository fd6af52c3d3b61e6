"""A DATA_DIR that cannot be written is refused, whoever the user is."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.errors import ConfigError
from stream_app.registry import disk
from stream_app.registry.disk import require_writable


def test_a_folder_that_can_be_written_is_made_and_left_clean(tmp_path: Path) -> None:
    data_dir = tmp_path / "not" / "yet" / "there"
    require_writable(data_dir)
    (data_dir / "models" / "BTC").mkdir()
    (data_dir / "faust" / "v1" / "tables").mkdir(parents=True)
    require_writable(data_dir)
    assert sorted(str(path.relative_to(data_dir)) for path in data_dir.rglob("*")) == [
        "faust",
        "faust/v1",
        "faust/v1/tables",
        "models",
        "models/BTC",
        "windows",
    ]


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data_dir = tmp_path / "file" / "data"
    with pytest.raises(ConfigError) as refused:
        require_writable(data_dir)
    assert str(refused.value) == (
        f"DATA_DIR={data_dir}: cannot write in {data_dir}: Not a directory; name a folder that "
        "this user can write in"
    )


@pytest.mark.parametrize("name", ["faust", "models"])
def test_a_folder_inside_that_is_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match=rf"cannot write in {tmp_path / name}: File exists"):
        require_writable(tmp_path)


# In this file system of the kernel even root cannot make a file.
KERNELS = Path("/proc/sys/kernel")
needs_proc = pytest.mark.skipif(not KERNELS.is_dir(), reason="there is no /proc/sys")


@needs_proc
@pytest.mark.parametrize("name", ["faust", "models"])
def test_an_existing_folder_that_cannot_be_written_is_refused_for_root_too(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).symlink_to(KERNELS)
    with pytest.raises(ConfigError, match=rf"cannot write in {tmp_path / name}: "):
        require_writable(tmp_path)


READ_ONLY = """
import subprocess, sys
from pathlib import Path
from stream_app.errors import ConfigError
from stream_app.registry.disk import require_writable

data_dir, part = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["mount", "--bind", part, part], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", part], check=True)
try:
    require_writable(data_dir)
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize("part", ["", "faust", "faust/v1", "models", "models/BTC"])
def test_a_read_only_mount_is_refused_wherever_it_is(tmp_path: Path, part: str) -> None:
    (tmp_path / "faust" / "v1").mkdir(parents=True)
    (tmp_path / "models" / "BTC").mkdir(parents=True)
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", sys.executable, "-c", READ_ONLY,
         str(tmp_path), str(tmp_path / part)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no mounts here: {done.stderr.splitlines()[-1]}")
    assert done.stdout == (
        f"DATA_DIR={tmp_path}: cannot write in {tmp_path / part}: Read-only file system; name a "
        "folder that this user can write in\n"
    )


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "write_new", full)
    with pytest.raises(ConfigError, match=r"No space left on device; name a folder"):
        require_writable(tmp_path)
