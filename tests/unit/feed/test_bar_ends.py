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


def test_ticks_have_no_other_end(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"time,price\n{T0},5\n{T0 + 1},6")
    with pytest.raises(SourceError, match="a file of ticks, for which --bar-times end"):
        read_ticks(path, layout=Layout(bar_times="end"))
