"""Columns of dates and of times of day, and times in columns of unusual names."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.feed.layout import Layout

DAY = 20240304
STAMPS = pd.date_range("2024-03-04 09:30", periods=2, freq="1min")


def times(path: Path, **how: Any) -> list[str]:
    return [
        f"{datetime.fromtimestamp(tick.ts / 1000, UTC):%H:%M:%S}"
        for tick in read_ticks(path, **how).ticks
    ]


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


LOST = [
    ((0, 100, 2300, 93000, 120000), "%Y%m%d %H%M%S"),
    ((0, 5, 930, 1030), "%Y%m%d %H%M"),
]


@pytest.mark.parametrize("is_csv", [True, False])
@pytest.mark.parametrize("has_format", [True, False])
@pytest.mark.parametrize(("clocks", "form"), LOST)
def test_times_of_day_that_lost_their_first_zeros(
    tmp_path: Path, clocks: tuple[int, ...], form: str, *, has_format: bool, is_csv: bool
) -> None:
    if is_csv:
        path = tmp_path / "a.csv"
        path.write_text("date,time,price\n" + "".join(f"{DAY},{each},1.5\n" for each in clocks))
    else:
        columns = {"date": [DAY] * len(clocks), "time": clocks, "price": [1.5] * len(clocks)}
        path = written(tmp_path / "a.parquet", **columns)
    layout = Layout(time_format=form if has_format else None)

    digits = 6 if form.endswith("%S") else 4
    wanted = [f"{each:0{digits}}".ljust(6, "0") for each in clocks]
    assert [each.replace(":", "") for each in times(path, layout=layout)] == wanted


def test_a_typed_date_and_a_typed_time_of_day(tmp_path: Path) -> None:
    clocks = [time(9, 30), time(9, 31)]
    days = [date(2024, 3, 4)] * 2
    path = written(tmp_path / "a.parquet", date=days, time=clocks, price=[1.5, 1.6])
    midnights = written(
        tmp_path / "b.parquet",
        Date=pd.to_datetime(["2024-03-04"] * 2),
        Time=clocks,
        price=[1.5, 1.6],
    )

    assert times(path) == times(midnights) == ["09:30:00", "09:31:00"]


@pytest.mark.parametrize("second", ["Timestamp", "Time"])
def test_a_clock_pairs_with_a_date_under_another_name(tmp_path: Path, second: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"Date,{second},price\n20240304,09:30:00,1.5\n20240304,09:31:00,1.6\n")

    assert times(path) == ["09:30:00", "09:31:00"]


def test_a_clock_with_am_and_pm_asks_for_the_format_of_both(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Date,Time,Price\n03/14/2024,9:30:00 PM,1.5\n03/14/2024,9:31:00 PM,1.6\n")

    with pytest.raises(SourceError, match=r'--time-format "%m/%d/%Y %I:%M:%S %p"'):
        read_ticks(path)
    layout = Layout(time_format="%m/%d/%Y %I:%M:%S %p")
    assert times(path, layout=layout) == ["21:30:00", "21:31:00"]


@pytest.mark.parametrize("name", ["x.parquet", "x.feather"])
def test_the_nameless_index_of_pandas(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frame = pd.DataFrame({"close": [1.5, 1.6], "volume": [1, 2]}, index=STAMPS)
    table = pa.Table.from_pandas(frame)
    if name.endswith("parquet"):
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    assert times(path) == ["09:30:00", "09:31:00"]


@pytest.mark.parametrize("name", ["Dates", "ts_event", "created_time", "created at", "index"])
def test_names_of_times_that_count_where_no_better_one_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{name},price\n2024-03-04T09:30:00Z,1.5\n2024-03-04T09:31:00Z,1.6\n")
    assert times(path) == ["09:30:00", "09:31:00"]

    path.write_text(f"{name},time,price\n5,2024-03-04T09:30:00Z,1.5\n6,2024-03-04T09:31:00Z,1.6\n")
    assert times(path) == ["09:30:00", "09:31:00"]


def test_a_table_that_yfinance_gave_pandas(tmp_path: Path) -> None:
    path = tmp_path / "download.parquet"
    fields = ["Close", "High", "Low", "Open", "Volume"]
    names = pd.MultiIndex.from_product([fields, ["BRK-B"]], names=["Price", "Ticker"])
    index = STAMPS.rename("Datetime")
    pq.write_table(pa.Table.from_pandas(pd.DataFrame(1.5, index, names)), path)

    file = read_ticks(path)
    assert (file.kind, file.symbols, file.understood.symbol_from) == (
        *("bars", ("BRK-B",), "the header"),
    )

    both = pd.MultiIndex.from_product([fields, ["BRK-B", "AAPL"]])
    pq.write_table(pa.Table.from_pandas(pd.DataFrame(1.5, index, both)), path)
    with pytest.raises(SourceError, match=r"2 symbols side by side .*AAPL, BRK-B.*one"):
        read_ticks(path)


def test_the_volume_of_ticks_is_used_where_a_bar_has_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    bar = "1.5,1.5,1.5,1.5,7,0"
    header = "time,open,high,low,close,tick_volume,real_volume"
    path.write_text(f"{header}\n1709544600,{bar}\n1709544660,{bar}\n")

    assert read_ticks(path).understood.columns["volume"] == "tick_volume"


@pytest.mark.parametrize(
    "text",
    [
        "20240314-09:30:00.123",
        "20240314093000123",
        "2024-03-14D09:30:00.123456789",
        "March 14, 2024 9:30 AM",
        "3/14/2024 9:30AM",
        "Thu, 14 Mar 2024 09:30:00 +0000",
        "Thu Mar 14 09:30:00 2024",
        "20240314 05:30:00 US/Eastern",
        "20240314  09:30:00",
    ],
)
def test_the_format_that_is_offered_reads_the_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"time;price\n{text};1.5\n")

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)
    form = str(refusal.value).split('--time-format "')[1].split('"')[0]
    assert times(path, layout=Layout(time_format=form)) == ["09:30:00"]


@pytest.mark.parametrize("text", ["45355.395833", "45355,395833"])
def test_a_number_of_a_spreadsheet_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"time;price\n{text};1.5\n")

    with pytest.raises(SourceError, match=r"a spreadsheet's number for it: format its cells as"):
        read_ticks(path)


def test_the_names_that_are_offered_keep_a_date_and_a_clock_together(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"03/14/2024,09:3{n},1.5,1.6,1.4,1.5,7\n" for n in range(2)))

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)
    names = tuple(str(refusal.value).split("--names ")[1].split(",")[:7])
    assert names[:3] == ("date", "time", "open")
    layout = Layout(names=(*names[:6], "volume"), time_format="%m/%d/%Y %H:%M")
    assert read_ticks(path, layout=layout).kind == "bars"
