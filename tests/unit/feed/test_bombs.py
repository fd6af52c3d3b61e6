"""Small files that unpack to gigabytes: refused in one line, before memory is full."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_app.errors import SourceError
from stream_app.feed import source
from stream_app.feed.files import read_ticks
from tests.unit.feed.test_files import T0

MIB = 1 << 20
READ = """
import resource, sys
from pathlib import Path
from stream_app.errors import SourceError
from stream_app.feed import source
from stream_app.feed.files import read_ticks
source.MOST_UNPACKED_BYTES = 1 << 24
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_ticks(Path(sys.argv[1]), symbol="X")
except SourceError as error:
    print(error, file=sys.stderr)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


CSV = (b"time,price\n", b"1640995200,1\n")
JSON_LINES = (b"", b'{"time":1640995200,"price":1}\n')


def bomb(path: Path, kind: str, mib: int, content: tuple[bytes, bytes] = CSV) -> Path:
    """A file of equal rows that unpacks to so much."""
    head, row = content
    block = row * (MIB // len(row) + 1)
    with opened(path, kind) as file:
        file.write(head)
        for _ in range(mib):
            file.write(block)
    return path


@contextlib.contextmanager
def opened(path: Path, kind: str) -> Iterator[Any]:
    if kind == "zip":
        archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        with archive, archive.open("x", "w", force_zip64=True) as member:
            yield member
    elif kind in ("gz", "bz2", "xz"):
        with {"gz": gzip, "bz2": bz2, "xz": lzma}[kind].open(path, "wb") as file:
            yield file
    else:
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            yield stream


@pytest.mark.parametrize("kind", ["gz", "zip", "zst", "bz2", "xz"])
def test_a_bomb_is_refused_and_memory_stays_bounded(tmp_path: Path, kind: str) -> None:
    """The memory of a process that reads it is told by the bound, here of 16 MiB."""
    path = bomb(tmp_path / f"x.csv.{kind}", kind, 256)

    read = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )

    assert f"{path}: unpacks to more than " in read.stderr
    assert read.stderr.count("\n") == 1
    assert int(read.stdout) * 1024 < 160 * MIB


@pytest.mark.parametrize("kind", ["gz", "zip", "zst"])
def test_the_bound_is_on_the_ratio_and_not_on_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(source, "MOST_UNPACKED_BYTES", MIB)
    rng = np.random.default_rng(0)
    prices = rng.normal(100, 1, 100_000)
    rows = "\n".join(f"{T0 + at},{price:.4f}" for at, price in enumerate(prices))
    path = tmp_path / "x.csv"
    path.write_text("time,price\n" + rows)
    content = path.read_bytes()
    assert len(content) > MIB
    if kind == "gz":
        path.write_bytes(gzip.compress(content))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.csv", content)
    else:
        path.write_bytes(pa.compress(content, "zstd", asbytes=True))

    assert read_ticks(path).count == 100_000


@pytest.mark.parametrize("kind", ["gz", "zip", "zst"])
def test_json_lines_are_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(source, "MOST_UNPACKED_BYTES", MIB)
    path = bomb(tmp_path / "x", kind, 3, JSON_LINES)

    with pytest.raises(SourceError, match="unpacks to more than 1 MiB"):
        read_ticks(path)


def test_parquet_says_its_rows_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_UNPACKED_BYTES", MIB)
    path = tmp_path / "x.parquet"
    zeros = np.zeros(2_000_000, dtype=np.int64)
    pq.write_table(pa.table({"time": zeros, "price": zeros}), path, compression="zstd")
    assert path.stat().st_size < 100_000

    with pytest.raises(SourceError, match="unpacks to more than"):
        read_ticks(path)
