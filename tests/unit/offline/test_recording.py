"""Several files as one recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import TickFile, read_ticks
from stream_app.offline.recording import Recording
from tests.builders import START_MS, recording, walk

HEAD = "timestamp,open,high,low,close\n"


def bars(folder: Path, name: str, minutes: list[int], *, step: int = 1) -> TickFile:
    path = folder / f"{name}.csv"
    rows = [
        f"{1_640_995_200 + 60 * step * at},{10 + at},{12 + at},{9 + at},{11 + at}" for at in minutes
    ]
    path.write_text(HEAD + "\n".join(rows) + "\n")
    return read_ticks(path)


def trades(folder: Path, name: str, seconds: list[int]) -> TickFile:
    path = folder / f"{name}.csv"
    rows = [f"{1_640_995_200 + second},{5 + second}" for second in seconds]
    path.write_text("timestamp,price\n" + "\n".join(rows) + "\n")
    return read_ticks(path)


def test_files_of_different_kinds_and_symbols_are_merged_by_time(tmp_path: Path) -> None:
    found = Recording.of(
        [
            bars(tmp_path, "a", [0, 1]),
            trades(tmp_path, "b", [0, 30, 59, 60]),
            bars(tmp_path, "c", [0, 1], step=5),
        ]
    )
    ticks = list(found)
    assert len(ticks) == len(found) == 8 + 4 + 8
    assert [tick.ts for tick in ticks] == sorted(tick.ts for tick in ticks)
    assert found.symbols == ("A", "B", "C")
    assert [tick.symbol for tick in ticks[:3]] == ["A", "B", "C"]  # one time: in order of the files
    # A bar's close is settled, at the end of a bar of its own file's length; so is each trade.
    settled = [tick for tick, is_settled in zip(ticks, found.is_settled, strict=True) if is_settled]
    assert [tick.ts - START_MS for tick in settled if tick.symbol == "A"] == [59_999, 119_999]
    assert [tick.ts - START_MS for tick in settled if tick.symbol == "C"] == [299_999, 599_999]
    assert sum(tick.symbol == "B" for tick in settled) == 4


def test_two_files_of_one_symbol_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "feb").mkdir()
    found = Recording.of([bars(tmp_path / "feb", "a", [2, 3]), bars(tmp_path, "a", [0, 1])])
    assert found.symbols == ("A",)
    assert [tick.price for tick in found][:4] == [10.0, 9.0, 12.0, 11.0]
    assert len(found) == 16


def test_two_files_with_the_same_bars_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    pair = [bars(tmp_path, "a", [0, 1, 2]), bars(tmp_path / "again", "a", [2, 3])]
    with pytest.raises(SourceError, match=r"both have bars of A at 2022-01-01T00:0\dZ") as error:
        Recording.of(pair)
    assert "\n" not in str(error.value)


def test_a_gap_of_a_week_is_told_and_a_weekend_is_not() -> None:
    first, day = list(walk(50)), 86_400_000
    weekend = list(walk(50, start=START_MS + 2 * day))
    week = list(walk(50, start=START_MS + 10 * day))
    assert recording([*first, *weekend]).long_gaps() == []
    (gap,) = recording([*first, *weekend, *week]).long_gaps()
    assert str(gap) == "BTC has no tick from 2022-01-03T00:12Z to 2022-01-11T00:00Z, 8.0 days"


def test_a_head_is_the_beginning() -> None:
    whole = recording(walk(100))
    assert list(whole.head(30)) == list(whole)[:30]
    assert len(whole.until(START_MS + 15_000 * 9)) == 10
