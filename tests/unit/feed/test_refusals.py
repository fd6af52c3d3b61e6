from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from tests.unit.feed.test_files import T0, parquet, written

TICK = "time,price\n2022-01-01,5\n"
BAR = "time,open,high,low,close\n2022-01-01,5,6,4,5\n"


def named(value: str | bytes) -> str | None:
    """For a test's id: packed content holds the time, so each process would have another id."""
    return "packed" if isinstance(value, bytes) else None


@pytest.mark.parametrize(
    ("name", "content", "found", "remedy"),
    [
        ("a.csv", "", ": empty", "give a file with rows"),
        ("a.csv", "time,price\n", ": a header and no rows", "give a file with rows"),
        ("a.csv", "time,price\n\n\n", ": a header and no rows", "give a file with rows"),
        ("a.csv", "just a text\n", ": one column in the first line, 'just a text'", "right file"),
        ("a.csv", b"\x89PNG\r\n\x1a\n", ": not text in UTF-8", "export it as CSV"),
        ("a.csv", b"PK\x03\x04,", ": damaged zip", "copy the file again"),
        (
            "a.csv",
            "1640995200,5.5\n",
            ": no header line, the first line is '1640995200,5.5'",
            "put a",
        ),
        ("a.csv", "2022-01-01,BTC,5\n", ": no header line", "such as time,price"),
        ("a.csv", "when,price\n1,2\n", ": no time column among when, price", "--column time=NAME"),
        ("a.csv", "time,cost\n1,2\n", ": no price column among time, cost", "--column price=NAME"),
        ("a.csv", "time,px,last\n1,2,3\n", ": 2 columns could be the price: px, last", "--column"),
        ("a.csv", TICK + "\nsoon,6\n", " line 4: time 'soon'", "--column time=NAME"),
        ("a.csv", TICK + ",6\n", " line 3: time is missing", "mend or remove the row"),
        ("a.csv", TICK + "1999-12-31,6\n", " line 3: time '1999-12-31'", "mend or remove"),
        ("a.csv", "time,price\n1,5\n2,6\n", " line 2: time '1'", "--column time=NAME"),
        ("a.csv", TICK + "2022-01-02,abc\n", " line 3: price 'abc'", "--column price=NAME"),
        ("a.csv", TICK + "2022-01-02,\n", " line 3: price is missing", "mend or remove the row"),
        ("a.csv", TICK + "2022-01-02,0\n", " line 3: price '0'", "mend or remove the row"),
        ("a.csv", TICK + "2022-01-02,-6\n", " line 3: price '-6'", "mend or remove the row"),
        ("a.csv", TICK + "2022-01-02,nan\n", " line 3: price 'nan'", "mend or remove the row"),
        ("a.csv", TICK + "2022-01-02,inf\n", " line 3: price 'inf'", "mend or remove the row"),
        ("a.csv", TICK + "2022-01-02,1e16\n", " line 3: price '1e16'", "mend or remove the row"),
        ("a.csv", TICK + '2022-01-02,"6\n7"\n', r" line 3: price '6\n7'", "mend or remove the row"),
        (
            "a.csv",
            TICK + "\n2022-01-02,1,234\n",
            " line 4: '2022-01-02,1,234' has 3 fields",
            "mend",
        ),
        ("a.csv", TICK + "2022-01-02\n", " line 3: '2022-01-02' has 1 fields", "mend or remove"),
        ("a.csv", "time,px,qty\n2022-01-01,5,-1\n", " line 2: size '-1'", "--column size=NAME"),
        ("a.csv", "time,px,qty\n2022-01-01,5,x\n", " line 2: size 'x'", "--column size=NAME"),
        ("a.csv", "ts,px,pair\n2022-01-01,5,a b\n", " line 2: symbol 'a b'", "mend the row"),
        ("a.csv", "ts,px,pair\n2022-01-01,5,\n", " line 2: symbol is missing", "mend the row"),
        ("a.csv", b"pair,ts,px\n\xff,2022-01-01,5\n", ": not CSV (", "export it as CSV in UTF-8"),
        ("a b.csv", TICK, ": no column of symbols, and none in the file's name", "--symbol NAME"),
        ("a.csv", "time,open,high,low\n1,2,3,4\n", ": a file of bars without close", "--column"),
        ("a.csv", BAR, " line 2: the only bar of its symbol", "give a file with more bars"),
        ("a.csv", BAR + "2022-01-01,5,6,4,5\n", " line 3: a second bar of its symbol", "symbol="),
        ("a.csv", BAR + "2022-01-02,5,4,6,5\n", " line 3: open, high, low, close are 5, 4", "mend"),
        (
            "a.csv",
            "time,o,h,l,c,v\n2022-01-01,5,6,4,5,many\n",
            " line 2: volume 'many'",
            "--column volume=NAME",
        ),
        (
            "a.csv.gz",
            gzip.compress(TICK.encode() * 99)[:-9],
            ": damaged gzip",
            "copy the file again",
        ),
        ("a.csv.gz", b"\x1f\x8bnot gzip at all", ": damaged gzip", "copy the file again"),
        ("a.parquet", TICK, ": not Parquet, or damaged", "write the file again"),
        ("a.pq", parquet(time=[T0], price=[1.0])[:-9], ": not Parquet, or damaged", "again"),
        ("a.parquet", b"PAR1", ": not Parquet, or damaged", "write the file again"),
        (
            "a.parquet",
            parquet(time=pa.array([], pa.int64()), price=pa.array([], pa.float64())),
            ": a header and no rows",
            "give a file with rows",
        ),
        ("a.pq", parquet(time=[T0, T0], price=[1.0, None]), " row 2: price is missing", "mend"),
        ("a.pq", parquet(time=[T0], price=[[1.0]]), ": column 'price' holds list", "--column"),
        ("a.pq", parquet(time=[T0], price=[True]), ": column 'price' holds bool", "--column"),
        (
            "a.pq",
            parquet(time=[T0], price=np.array([T0], dtype="datetime64[s]")),
            " row 1: price '2022-01-01 00:00:00'",
            "--column price=NAME",
        ),
    ],
    ids=named,
)
def test_a_file_that_cannot_be_understood_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str | bytes, found: str, remedy: str
) -> None:
    path = written(tmp_path / name, content)

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)

    message = str(refusal.value)
    assert message.startswith(f"{path}{found}")
    assert "; looked for " in message
    assert remedy in message.rpartition(";")[2]
    assert "\n" not in message


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: path, ": no such file; looked for CSV"),
        (lambda path: path.mkdir() or path, ": a directory; looked for CSV"),
        (lambda path: path.symlink_to(path) or path, ": "),
    ],
)
def test_what_is_no_file_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], found: str
) -> None:
    path = make(tmp_path / "a.csv")

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)

    assert str(refusal.value).startswith(f"{path}{found}")
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", TICK)
    path.chmod(0)

    with pytest.raises(SourceError, match=r"cannot be read .*; check it and its permissions"):
        read_ticks(path)


def test_a_symbol_for_a_file_that_has_them_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "time,px,pair\n2022-01-01,5,A\n")

    with pytest.raises(SourceError, match=r"--symbol B .* column 'pair' .*; leave --symbol out"):
        read_ticks(path, symbol="B")


def test_a_malformed_symbol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"--symbol 'a b': looked for 1 to 64 .*; give such"):
        read_ticks(written(tmp_path / "a.csv", TICK), symbol="a b")


def zipped(method: int = zipfile.ZIP_STORED) -> bytearray:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr("x.csv", "time,price\n" + f"{T0},1\n" * 50)
    return bytearray(made.getvalue())


def with_password() -> bytes:
    made = zipped()
    made[6] |= 1  # the flag of the member, and the same in the list of members
    made[made.index(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


def by_deflate64() -> bytes:
    made = zipped()
    made[8] = made[made.index(b"PK\x01\x02") + 10] = 9
    return bytes(made)


def damaged(method: int) -> bytes:
    made = zipped(method)
    made[60:70] = b"\xff" * 10
    return bytes(made)


def tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("x.csv"), io.BytesIO())
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (with_password(), "a zip that cannot be unpacked here (File 'x.csv' is encrypted"),
        (by_deflate64(), "a zip that cannot be unpacked here (That compression method"),
        (damaged(zipfile.ZIP_LZMA), "damaged zip (Corrupt input data)"),
        (damaged(zipfile.ZIP_BZIP2), "cannot be read (Invalid data stream)"),
        (damaged(zipfile.ZIP_DEFLATED), "damaged zip"),
        (bz2.compress(b"time,price\n" * 99)[:-20], "damaged bzip2"),
        (lzma.compress(b"time,price\n" * 99)[:-20], "damaged xz"),
        (b"BZh9" + bytes(99), "damaged bzip2 (Invalid data stream)"),
        (gzip.compress(lzma.compress(b"time,price\n")), "packed as xz in another package"),
        (b"\x04\x22\x4d\x18" + bytes(9), "packed as lz4"),
        (tar(), "packed as tar"),
        (b"7z\xbc\xaf\x27\x1c", "packed as 7-Zip"),
        (b"PK\x05\x06" + bytes(18), "packed as a zip of nothing"),
    ],
    ids=named,
)
def test_other_packages_are_refused_in_one_line(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "x.csv.zip"
    path.write_bytes(content)

    with pytest.raises(SourceError) as refusal:
        read_ticks(path, symbol="X")

    assert f"{path}: {found}" in str(refusal.value)
    assert "\n" not in str(refusal.value)
