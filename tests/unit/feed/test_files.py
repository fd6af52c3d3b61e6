from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import os
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
from stream_app.messages.schemas import Tick

T0 = 1_640_995_200  # 2022-01-01T00:00:00Z
MONTH = Path(
    os.environ.get(
        "STREAM_APP_DATA",
        Path(__file__).parents[3].parent / "shared/data/btc-perp-1m-2022-01.csv.gz",
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
        ("btc.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("btc.csv", gzip.compress(CSV.encode(), mtime=0)),
        ("btc.csv.bz2", bz2.compress(CSV.encode())),
        ("btc.csv.xz", lzma.compress(CSV.encode())),
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
    assert list(file.ticks) == THREE  # begins again
    assert (file.kind, file.count, file.symbols, file.notices) == ("ticks", 3, ("BTC",), ())


def test_symbols_come_from_their_column_or_the_option_or_the_name(tmp_path: Path) -> None:
    both = written(
        tmp_path / "x.csv",
        "pair,time,px\nETH/USD,2022-01-01,3\nbtc,2022-01-01,4\nETH/USD,2022-01-02,5\n",
    )
    plain = written(tmp_path / "brk.b.csv.gz", "time,px\n2022-01-01,3\n")

    assert read_ticks(both).symbols == ("ETH/USD", "btc")
    assert [tick.symbol for tick in read_ticks(both).ticks] == ["ETH/USD", "btc", "ETH/USD"]
    assert read_ticks(plain, symbol="my:coin").symbols == ("my:coin",)
    assert read_ticks(plain).symbols == ("BRK.B",)


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


def test_sorting_keeps_rows_together(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv",
        "time,px,qty,sym\n1640995202,3,30,A\n1640995200,1,,B\n1640995201,2,20,A\n",
    )

    assert [
        (tick.ts // 1000 - T0, tick.price, tick.size, tick.symbol)
        for tick in read_ticks(path).ticks
    ] == [(0, 1.0, None, "B"), (1, 2.0, 20.0, "A"), (2, 3.0, 30.0, "A")]


def test_a_bad_bar_among_unsorted_ones_is_named_by_its_own_line(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv",
        "t,o,h,l,c\n2022-01-03,1,1,1,1\n2022-01-01,1,1,1,9\n2022-01-02,1,1,1,1\n",
    )

    with pytest.raises(SourceError, match=r"a\.csv line 3: open, high, low, close are 1, 1, 1, 9"):
        read_ticks(path)


prices = st.floats(min_value=1e-6, max_value=1e9)


@st.composite
def bar_rows(draw: st.DrawFn) -> list[tuple[float, float, float, float]]:
    rows = []
    for _ in range(draw(st.integers(2, 12))):
        low, first, second, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        rows.append((*draw(st.permutations([first, second])), high, low))
    return [(opened, high, low, close) for opened, close, high, low in rows]


@given(bar_rows())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_ticks_of_bars_rebuild_the_bars(
    tmp_path: Path, rows: list[tuple[float, float, float, float]]
) -> None:
    lines = [f"{T0 + 60 * nth},{','.join(map(repr, row))}" for nth, row in enumerate(rows)]
    path = written(tmp_path / "a.csv", "\n".join(["time,open,high,low,close", *lines]))

    ticks = list(read_ticks(path).ticks)

    assert len(ticks) == 4 * len(rows)
    assert [tick.ts for tick in ticks] == [
        (T0 + 60 * nth) * 1000 + inside
        for nth in range(len(rows))
        for inside in (0, 59_997, 59_998, 59_999)
    ]
    for nth, row in enumerate(rows):
        inside = [tick.price for tick in ticks if tick.ts // 60_000 == T0 // 60 + nth]
        assert (inside[0], max(inside), min(inside), inside[-1]) == row


@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=12))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    assert {after.ts - before.ts for before, after in itertools.pairwise(ticks)} == {59_997, 1}
