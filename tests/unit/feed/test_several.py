"""Several files as one, equal trades, and what tells trades apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.messages.arrivals import arrived
from stream_app.messages.schemas import Tick
from stream_app.messages.ticks import decode_tick, encode_tick
from stream_app.prediction.answering import answer_ticks
from stream_app.prediction.ensemble import Ensemble
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from tests.builders import settings
from tests.unit.feed.test_files import T0, written


def bars(path: Path, *minutes: int) -> Path:
    rows = [f"{T0 + 60 * nth},{nth + 1},{nth + 1},{nth + 1},{nth + 1}" for nth in minutes]
    return written(path, "\n".join(["time,open,high,low,close", *rows]))


def test_files_are_one_symbol_in_order_of_time(tmp_path: Path) -> None:
    later = bars(tmp_path / "b.csv", 3, 4, 5)
    earlier = bars(tmp_path / "a.csv", 2, 1, 0)

    file = read_ticks((later, earlier), symbol="X")

    assert [tick.price for tick in file.ticks][::4] == [1, 2, 3, 4, 5, 6]
    assert {tick.symbol for tick in file.ticks} == {"X"}
    assert file.understood.rows == 6
    assert file.understood.spacing_s == 60
    assert file.understood.lines()[0].startswith("2 files: 6 bars of 60 s, 2022-01-01T00:00:00Z")
    # The last bar of a file ends where the next file's first begins.
    assert [tick.ts for tick in file.ticks][11] == (T0 + 180) * 1000 - 1


def test_a_bar_that_two_files_have_is_refused_or_taken_once(tmp_path: Path) -> None:
    first, second = bars(tmp_path / "a.csv", 0, 1, 2), bars(tmp_path / "b.csv", 2, 3)

    with pytest.raises(SourceError, match=r"b\.csv line 2: a second bar of its symbol"):
        read_ticks((first, second), symbol="X")
    file = read_ticks((first, second), symbol="X", skip_bad_rows=True)
    assert [tick.price for tick in file.ticks][::4] == [1, 2, 3, 4]
    assert file.understood.skipped == {"repeated_bar": 1}


def test_files_need_one_kind_and_a_symbol(tmp_path: Path) -> None:
    first, second = bars(tmp_path / "a.csv", 0, 1), bars(tmp_path / "b.csv", 2, 3)
    ticks = written(tmp_path / "t.csv", f"time,price\n{T0},5\n")

    with pytest.raises(SourceError, match=r"2 files without a column of symbols.*--symbol NAME"):
        read_ticks((first, second))
    with pytest.raises(SourceError, match=r"a\.csv is of bars, t\.csv is of ticks"):
        read_ticks((first, ticks), symbol="X")


def test_files_that_name_their_symbols_go_together(tmp_path: Path) -> None:
    one = written(tmp_path / "a.csv", f"time,price,symbol\n{T0},1,A\n{T0 + 2},3,B\n")
    two = written(tmp_path / "b.csv", f"time,price,symbol\n{T0 + 1},2,B\n{T0 + 3},4,C\n")

    file = read_ticks((one, two))

    assert [(tick.symbol, tick.price) for tick in file.ticks] == [
        ("A", 1), ("B", 2), ("B", 3), ("C", 4),
    ]  # fmt: skip


EQUAL = "time,price,size\n" + "".join(
    f"{T0 + second},5,{size}\n"
    for second, size in ((0, 1), (0, 1), (0, 2), (0, 1), (60, 1), (60, 1), (180, 1))
)


def volumes(ticks: list[Tick]) -> list[float]:
    """Of the closed bars, by the worker's own window."""
    chosen = PredictionSettings.of(settings())
    pipeline = SymbolPipeline("X", chosen)
    sent = [decode_tick(encode_tick(tick), b"X", tick.ts, 0) for tick in ticks]
    arrivals = [arrived(tick, 0) for tick in sent if isinstance(tick, Tick)]
    assert len(arrivals) == len(sent)
    (answer,) = answer_ticks([(pipeline, arrivals)], Ensemble.of(chosen), chosen).symbols
    return [bar.volume for bar in answer.bars]


def test_equal_trades_of_one_second_each_count_in_the_volume(tmp_path: Path) -> None:
    file = read_ticks(written(tmp_path / "a.csv", EQUAL), symbol="X")
    ticks = list(file.ticks)

    assert [tick.id for tick in ticks] == [None, "2", None, "3", None, "2", None]
    assert len(set(ticks)) == len(ticks)
    assert volumes(ticks) == [5.0, 2.0]


def test_the_same_trades_twice_count_once(tmp_path: Path) -> None:
    """In two files that overlap, and in a file that is fed again at once."""
    one = written(tmp_path / "a.csv", EQUAL)
    two = written(tmp_path / "b.csv", EQUAL)

    assert volumes(list(read_ticks((one, two), symbol="X").ticks)) == [5.0, 2.0]


def test_a_files_own_ids_are_kept(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv",
        f"time,price,size,trade_id\n{T0},5,1,a1\n{T0},5,1,a2\n{T0},5,1,a2\n{T0 + 120},5,1,a3\n",
    )

    file = read_ticks(path, symbol="X")

    assert [tick.id for tick in file.ticks] == ["a1", "a2", "a2", "a3"]
    assert volumes(list(file.ticks)) == [2.0]
    with pytest.raises(SourceError, match=r"id .*; looked for at most 64 characters"):
        read_ticks(written(path, f"time,price,size,tid\n{T0},5,1,{'x' * 65}\n"))


def test_equal_rows_without_a_size_need_no_ids(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"time,price\n{T0},5\n{T0},5\n")

    assert [tick.id for tick in read_ticks(path).ticks] == [None, None]
