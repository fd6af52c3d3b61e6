from __future__ import annotations

import gzip
import itertools
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.schemas import Tick

T0 = 1_640_995_200  # 2022-01-01T00:00:00Z
MONTH = Path(
    os.environ.get(
        "STREAM_APP_DATA",
        Path(__file__).parents[2].parent / "shared/data/btc-perp-1m-2022-01.csv.gz",
    )
)
THREE = [
    Tick(symbol="BTC", price=5.5, ts=T0 * 1000, size=1.0),
    Tick(symbol="BTC", price=6.0, ts=T0 * 1000 + 1000, size=None),
    Tick(symbol="BTC", price=7.25, ts=T0 * 1000 + 2000, size=0.5),
]
CSV = "Time,Price,Size\n1640995200,5.5,1\n1640995201,6,\n1640995202,7.25,0.5\n"


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("BTC.csv", CSV),
        ("btc.csv", "\ufeff" + CSV.replace("\n", "\r\n")),
        ("btc.csv", CSV.replace(",", ";")),
        ("btc.csv", CSV.replace(",", "\t")),
        ("btc.csv", CSV.replace(",", ", ")),
        ("btc.csv", CSV.replace("\n", "\n\n")),
        ("btc.csv.gz", gzip.compress(CSV.encode())),
        ("btc.csv", gzip.compress(CSV.encode())),
        ("btc.csv.gz", CSV),
        (
            "btc.parquet",
            parquet(time=[T0, T0 + 1, T0 + 2], price=[5.5, 6.0, 7.25], size=[1.0, None, 0.5]),
        ),
        (
            "btc.parquet.gz",
            gzip.compress(
                parquet(
                    ts=np.array([T0, T0 + 1, T0 + 2], dtype="datetime64[s]"),
                    px=["5.5", "6", "7.25"],
                    qty=[1.0, float("nan"), 0.5],
                )
            ),
        ),
    ],
)
def test_a_file_of_ticks_is_read_whatever_its_dress(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    file = read_ticks(written(tmp_path / name, content))

    assert list(file.ticks) == THREE
    assert list(file.ticks) == THREE  # begins anew
    assert (file.kind, file.count, file.symbols, file.notices) == ("ticks", 3, ("BTC",), ())


def test_symbols_come_from_their_column_or_the_option_or_the_name(tmp_path: Path) -> None:
    both = written(
        tmp_path / "x.csv",
        "pair,time,px\nETH/USD,2022-01-01,3\nbtc,2022-01-01,4\nETH/USD,2022-01-02,5\n",
    )
    plain = written(tmp_path / "btc usd (1).2022.csv", "time,px\n2022-01-01,3\n")

    assert read_ticks(both).symbols == ("ETH/USD", "btc")
    assert [tick.symbol for tick in read_ticks(both).ticks] == ["ETH/USD", "btc", "ETH/USD"]
    assert read_ticks(plain, symbol="my:coin").symbols == ("my:coin",)
    assert read_ticks(plain).symbols == ("BTC-USD-1",)


def test_columns_can_be_mapped(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "W,X,Y,Z\nq,2,1640995200,7\n")

    file = read_ticks(path, columns={"time": "Y", "price": "Z", "size": "X", "symbol": "W"})

    assert list(file.ticks) == [Tick(symbol="q", price=7.0, ts=T0 * 1000, size=2.0)]


def test_rows_out_of_order_are_sorted_with_a_notice(tmp_path: Path) -> None:
    mixed = written(tmp_path / "a.csv", "time,px\n1640995200,1\n\n1640995202,3\n1640995201,2\n")
    newest_first = written(
        tmp_path / "b.csv", "time,px\n1640995201,3\n1640995201,2\n1640995200,1\n"
    )

    assert [tick.price for tick in read_ticks(mixed).ticks] == [1, 2, 3]
    assert read_ticks(mixed).notices == (
        f"{mixed}: not in order of time, first at line 5; sorted by time",
    )
    assert [tick.price for tick in read_ticks(newest_first).ticks] == [1, 2, 3]
    assert read_ticks(newest_first).notices == (f"{newest_first}: newest row first; turned round",)


TICK = "time,price\n2022-01-01,5\n"
BAR = "time,open,high,low,close\n2022-01-01,5,6,4,5\n"


@pytest.mark.parametrize(
    ("name", "content", "found", "remedy"),
    [
        ("a.csv", "", ": empty", "give a file with rows"),
        ("a.csv", "time,price\n", ": a header and no rows", "give a file with rows"),
        ("a.csv", "time,price\n\n\n", ": a header and no rows", "give a file with rows"),
        ("a.csv", "just a text\n", ": one column in the first line, 'just a text'", "right file"),
        ("a.csv", b"\x89PNG\r\n\x1a\n", ": not text in UTF-8", "export it as CSV"),
        ("a.csv", b"PK\x03\x04,", ": not text in UTF-8", "export it as CSV"),
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
        ("a.csv", "ts,px,pair\n2022-01-01,5,a b\n", " line 2: symbol 'a b'", "mend or remove"),
        ("a.csv", "ts,px,pair\n2022-01-01,5,\n", " line 2: symbol is missing", "mend or remove"),
        ("a.csv", b"pair,ts,px\n\xff,2022-01-01,5\n", ": not CSV (", "export it as CSV in UTF-8"),
        ("(!).csv", TICK, ": no column of symbols, and none in the file's name", "--symbol NAME"),
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


prices = st.floats(min_value=1e-6, max_value=1e9)


@st.composite
def bar_rows(draw: st.DrawFn) -> list[tuple[float, float, float, float]]:
    rows = []
    for _ in range(draw(st.integers(2, 12))):
        low, first, second, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        rows.append((*draw(st.permutations([first, second])), high, low))
    return [(opened, high, low, close) for opened, close, high, low in rows]


@given(bar_rows())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_ticks_of_bars_rebuild_the_bars(
    tmp_path: Path, rows: list[tuple[float, float, float, float]]
) -> None:
    lines = [f"{T0 + 60 * nth},{','.join(map(repr, row))}" for nth, row in enumerate(rows)]
    path = written(tmp_path / "a.csv", "\n".join(["time,open,high,low,close", *lines]))

    ticks = list(read_ticks(path).ticks)

    assert len(ticks) == 4 * len(rows)
    assert [tick.ts for tick in ticks] == [(T0 + 15 * nth) * 1000 for nth in range(len(ticks))]
    for nth, row in enumerate(rows):
        inside = [tick.price for tick in ticks if tick.ts // 60_000 == T0 // 60 + nth]
        assert (inside[0], max(inside), min(inside), inside[-1]) == row


@given(st.lists(st.integers(0, 3_000_000), min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_unit_of_the_times_makes_no_difference(tmp_path: Path, seconds: list[int]) -> None:
    times = [T0 + second for second in sorted(seconds)]
    columns = [[str(time * unit) for time in times] for unit in (1, 10**3, 10**6, 10**9)]
    columns.append([datetime.fromtimestamp(time, UTC).isoformat() for time in times])

    read = []
    for column in columns:
        lines = [f"{time},{nth + 1}" for nth, time in enumerate(column)]
        read.append(
            list(read_ticks(written(tmp_path / "a.csv", "\n".join(["ts,px", *lines]))).ticks)
        )

    assert [tick.ts for tick in read[0]] == [time * 1000 for time in times]
    assert all(ticks == read[0] for ticks in read)


@pytest.mark.data
@pytest.mark.skipif(not MONTH.exists(), reason=f"no {MONTH.name} beside the checkout")
def test_the_month_of_real_bars_gives_four_ticks_each() -> None:
    file = read_ticks(MONTH)
    ticks = list(file.ticks)

    assert file.kind == "bars"
    assert file.symbols == ("BTC-PERP-1M-2022-01",)
    assert file.count == len(ticks) == 180_124
    assert ticks[0].ts == 1_640_991_660_000
    assert [tick.price for tick in ticks[:4]] == [46_319.0, 46_319.0, 46_385.0, 46_377.0]
    assert {after.ts - before.ts for before, after in itertools.pairwise(ticks)} == {15_000}
