"""Bars of several lengths in what is read as one: none tells its close before its end."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import TickFile, read_ticks
from stream_app.feed.understood import Understood
from tests.unit.feed.test_files import T0

HEADER = "time,open,high,low,close,volume"
MINUTE, FIVE, HOUR = 60, 300, 3600


def rows(start_s: int, count: int, bar_s: int, *, share: float = 1.0) -> list[str]:
    """Bars whose close is the number of the second in which they end."""
    chance = random.Random(0)  # noqa: S311 - no secret
    return [
        f"{T0 + begin},{begin + 1},{begin + bar_s},{begin + 1},{begin + bar_s},1"
        for begin in range(start_s, start_s + count * bar_s, bar_s)
        if chance.random() < share
    ]


def file_of(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]))
    return path


def told_early(file: TickFile) -> int:
    """How many closes come before their bar has ended; each is looked at to the second."""
    return sum(tick.price > tick.ts // 1000 - T0 + 1 for tick in file.ticks)


def told_late(file: TickFile) -> int:
    closes = [tick for tick in file.ticks if tick.size is not None]
    assert closes
    return sum(tick.price < tick.ts // 1000 - T0 + 1 for tick in closes)


@pytest.mark.parametrize("coarse_first", [False, True], ids=["given in order", "given backwards"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (rows(0, 500, MINUTE), rows(30_000, 100, FIVE)),
        (rows(0, 100, FIVE), rows(30_000, 500, MINUTE)),
        (rows(0, 1000, MINUTE), rows(72_000, 2, FIVE)),
        (rows(0, 1000, MINUTE), rows(72_000, 30, HOUR)),
        (rows(0, 500, MINUTE, share=0.5), rows(30_000, 100, FIVE, share=0.7)),
    ],
    ids=["minutes, fives", "fives, minutes", "two fives", "hours", "with rows left out"],
)
def test_each_file_has_its_own_length(
    tmp_path: Path, first: list[str], second: list[str], *, coarse_first: bool
) -> None:
    paths = [file_of(tmp_path / "a.csv", *first), file_of(tmp_path / "b.csv", *second)]

    file = read_ticks(paths[::-1] if coarse_first else paths, symbol="X")

    assert (told_early(file), told_late(file)) == (0, 0)
    assert sum("each is read with its own length" in line for line in file.notices) == 2


def test_each_symbol_of_a_file_has_its_own_length(tmp_path: Path) -> None:
    lines = [f"{line},A" for line in rows(0, 1000, MINUTE)]
    lines += [f"{line},B" for line in rows(0, 200, FIVE)]
    path = file_of(tmp_path / "a.csv", *lines, header=f"{HEADER},symbol")

    file = read_ticks(path)

    assert (told_early(file), told_late(file)) == (0, 0)
    assert file.understood.spacing_s == FIVE  # which BAR_SECONDS must hold
    assert f"{path}: 1,000 bars of 60 s and 200 bars of 300 s; each is read" in file.notices[-1]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_file_whose_bars_get_longer_is_read_by_stretches(
    tmp_path: Path, *, backwards: bool
) -> None:
    """As where the far past is only to be had in coarser bars."""
    lines = [*rows(0, 100, FIVE), *rows(30_000, 1000, MINUTE), *rows(90_000, 60, FIVE)]
    path = file_of(tmp_path / "a.csv", *(lines[::-1] if backwards else lines))

    file = read_ticks(path)

    assert told_early(file) == 0
    assert told_late(file) <= 24  # minutes just beside the coarser stretch
    assert "each is read with its own length" in file.notices[-1]


@pytest.mark.parametrize("share", [0.5, 0.2, 0.1])
def test_minutes_without_a_trade_do_not_make_the_others_longer(
    tmp_path: Path, share: float
) -> None:
    file = read_ticks(file_of(tmp_path / "a.csv", *rows(0, 9000, MINUTE, share=share)))

    assert (told_early(file), told_late(file)) == (0, 0)
    assert file.understood.spacing_s == MINUTE
    assert file.notices == ()


@pytest.mark.parametrize(
    ("first", "second", "line"),
    [
        (rows(0, 1000, MINUTE), rows(59_790, 50, FIVE), "a 60 s"),
        (rows(0, 100, FIVE), rows(29_760, 50, MINUTE), "a 300 s"),
        (rows(0, 100, MINUTE), rows(30, 100, MINUTE), "a 60 s"),
    ],
    ids=["the last minute", "the last five", "half a minute apart"],
)
def test_files_with_the_same_trades_in_other_bars_are_refused(
    tmp_path: Path, first: list[str], second: list[str], line: str
) -> None:
    """A bar that another file's bar cuts would tell its close at the cut, and count twice."""
    paths = [file_of(tmp_path / "a.csv", *first), file_of(tmp_path / "b.csv", *second)]

    with pytest.raises(SourceError) as refusal:
        read_ticks(paths, symbol="X")

    assert f"b.csv line 2: begins inside of {line} bar that another file has" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_days_of_23_hours_follow_one_another(tmp_path: Path) -> None:
    """Midnights of New York around the begin of summer time, in two files."""
    zone = -5 * HOUR
    opened = [-zone + day * 24 * HOUR - (HOUR if day > 4 else 0) for day in range(10)]
    lines = [f"{T0 + begin},1,1,1,1,1" for begin in opened]
    paths = [file_of(tmp_path / "a.csv", *lines[:5]), file_of(tmp_path / "b.csv", *lines[5:])]

    closes = [tick.ts // 1000 - T0 + 1 for tick in read_ticks(paths, symbol="X").ticks if tick.size]

    assert closes[:-1] == opened[1:]


def test_a_day_of_many_symbols_in_each_file(tmp_path: Path) -> None:
    """A day of each of 3,000 stocks in each file, as providers give them."""
    paths = [
        file_of(
            tmp_path / f"{day}.csv",
            *(f"{T0 + 86_400 * day},1,1,1,1,1,S{number}" for number in range(3000)),
            header=f"{HEADER},symbol",
        )
        for day in range(3)
    ]

    file = read_ticks(paths)

    understood: Understood = file.understood
    assert (understood.spacing_s, understood.rows) == (86_400, 9000)
    assert np.unique(file.rows.ts % 86_400_000).tolist() == [0, 86_399_997, 86_399_998, 86_399_999]
