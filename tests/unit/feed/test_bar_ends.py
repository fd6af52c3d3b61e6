"""Bars that a file names by their ends begin where they began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.feed.layout import Layout
from tests.unit.feed.test_files import T0, written

STARTS = [T0 + 60 * minute for minute in (0, 1, 2, 5, 6, 2000, 2001)]  # with gaps


def bars(path: Path, name: str, ends: list[Any]) -> Path:
    rows = [f"{end},{5 + nth},{7 + nth},{4 + nth},{6 + nth}" for nth, end in enumerate(ends)]
    return written(path, "\n".join([f"{name},open,high,low,close", *rows]))


def told(path: Path, **given: Any) -> tuple[list[tuple[int, float]], tuple[str, ...]]:
    layout = Layout(**given) if given else None
    found = read_ticks(path, layout=layout)
    return [(tick.ts, tick.price) for tick in found.ticks], found.notices


@pytest.fixture
def wanted(tmp_path: Path) -> list[tuple[int, float]]:
    ticks, notices = told(bars(tmp_path / "starts.csv", "time", STARTS))
    assert ticks[0] == (1000 * T0, 5.0)
    assert not notices
    return ticks


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("close_time", [1000 * start + 59_999 for start in STARTS]),
        ("Close time", [start + 60 for start in STARTS]),
        ("close_time", [start + 59 for start in STARTS]),
        ("time_period_end", [start + 60 for start in STARTS]),
    ],
)
def test_a_column_of_ends_is_known_by_its_name(
    tmp_path: Path, wanted: list[tuple[int, float]], name: str, ends: list[int]
) -> None:
    path = bars(tmp_path / "ends.csv", name, ends)
    ticks, notices = told(path, columns={"time": name})
    assert ticks == wanted
    assert [notice for notice in notices if f"{name} is the end of each bar" in notice]


def test_other_columns_are_what_is_said_of_them(
    tmp_path: Path, wanted: list[tuple[int, float]]
) -> None:
    ends = [start + 60 for start in STARTS]
    assert told(bars(tmp_path / "a.csv", "time", ends), bar_times="end")[0] == wanted
    starts = bars(tmp_path / "b.csv", "close_time", STARTS)
    assert told(starts, bar_times="start", columns={"time": "close_time"})[0] == wanted


def test_each_symbol_has_the_length_of_its_own_bars(tmp_path: Path) -> None:
    ends = [(T0 + 60 * (nth + 1), "A") for nth in range(60)]
    ends += [(T0 + 300 * (nth + 1), "B") for nth in range(60)]
    rows = [f"{end},{symbol},5,7,4,6" for end, symbol in sorted(ends)]
    text = "\n".join(["end_time,symbol,open,high,low,close", *rows])
    found = read_ticks(
        written(tmp_path / "a.csv", text), layout=Layout(columns={"time": "end_time"})
    )
    first: dict[str, int] = {}
    for tick in found.ticks:
        first.setdefault(tick.symbol, tick.ts)
    assert first == {"A": 1000 * T0, "B": 1000 * T0}


def test_no_bar_begins_before_the_one_before_has_ended(tmp_path: Path) -> None:
    """Its open would be told too early, and that one's close with it."""
    hours = [10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.0]  # the last one is half as long
    ends = [T0 + round(3600 * (24 * day + hour)) for day in range(5) for hour in hours]
    ticks, _ = told(bars(tmp_path / "a.csv", "time", ends), bar_times="end")
    closes = {price: ts for ts, price in ticks[3::4]}
    assert [closes[6.0 + nth] for nth in range(len(ends))] == [1000 * end - 1 for end in ends]
    assert [ts for ts, _ in ticks] == sorted(ts for ts, _ in ticks)
    opens = [ts for ts, _ in ticks[0::4]]
    assert opens[1:7] == [1000 * end for end in ends[:6]]


def test_shorter_and_longer_bars_of_one_symbol_follow_each_other(tmp_path: Path) -> None:
    ends = [T0 + 60 * (nth + 1) for nth in range(60)]
    ends += [T0 + 3600 + 300 * (nth + 1) for nth in range(60)]
    ticks, _ = told(bars(tmp_path / "a.csv", "time", ends), bar_times="end")
    assert [ts for ts, _ in ticks[3::4]] == [1000 * end - 1 for end in ends]
    assert [ts for ts, _ in ticks[4::4]] == [1000 * end for end in ends[:-1]]


def test_files_of_longer_and_of_shorter_bars_follow_each_other(tmp_path: Path) -> None:
    longer = bars(tmp_path / "AB.csv", "time", [T0 + 3600 * (nth + 1) for nth in range(30)])
    later = [T0 + 30 * 3600 + 60 * (nth + 1) for nth in range(30)]
    shorter = bars(tmp_path / "b.csv", "time", later)
    layout = Layout(bar_times="end")
    ticks = list(read_ticks([longer, shorter], symbol="AB", layout=layout).ticks)
    assert ticks[0].ts == 1000 * T0
    assert ticks[-4].ts == 1000 * (later[-1] - 60)


def test_ends_and_starts_are_fed_apart(tmp_path: Path) -> None:
    first = bars(tmp_path / "a.csv", "time", STARTS)
    second = bars(tmp_path / "b.csv", "close_time", [STARTS[-1] + 60 * nth for nth in (2, 3, 4)])
    layout = Layout(columns={"time": "*time"})
    with pytest.raises(SourceError, match=r"b.csv names bars by their ends.* feed them apart"):
        read_ticks([first, second], symbol="A", layout=layout)


def test_ticks_have_no_other_end(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"time,price\n{T0},5\n{T0 + 1},6")
    with pytest.raises(SourceError, match="a file of ticks, for which --bar-times end"):
        read_ticks(path, layout=Layout(bar_times="end"))
