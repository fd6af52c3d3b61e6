"""Rows that cannot be used: refused once with all their kinds, or left out and counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.feed.layout import Layout
from tests.unit.feed.test_files import T0, written

HEADER = "time,open,high,low,close\n"


def bar(nth: int, text: str = "5,6,4,5.5") -> str:
    return f"{T0 + 60 * nth},{text}\n"


BAD = {
    "wrong_fields": [bar(2, "5,6,4,5.5,9"), bar(3, "5,6")],
    "bad_time": ["soon,5,6,4,5.5\n", ",5,6,4,5.5\n"],
    "missing_price": [bar(6, "5,6,4,"), bar(7, ",6,4,5.5")],
    "not_a_number": [bar(8, "5,6,4,five")],
    "bad_price": [bar(9, "5,6,-1,5.5"), bar(10, "5,6,0,5.5"), bar(11, "5,6,inf,5.5")],
    "inconsistent_bar": [bar(12, "5,4,6,5.5")],
    "repeated_bar": [bar(0), bar(1), bar(1)],
}


def everything() -> str:
    return (
        HEADER + bar(0) + bar(1) + "".join(row for rows in BAD.values() for row in rows) + bar(20)
    )


def test_one_run_counts_every_kind_with_its_first_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", everything())

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)

    message = str(refusal.value)
    assert message.startswith(f"{path} line 4: ")
    assert "\n" not in message
    line = 4
    for rows in BAD.values():
        told = message[message.index(f"line {line}: ") :].partition("; line")[0]
        assert (f"({len(rows)} such rows)" in told) == (len(rows) > 1)
        line += len(rows)
    assert "14 in all" in message
    assert "--bad-rows skip" in message


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_alone_is_counted_and_left_out(tmp_path: Path, kind: str) -> None:
    rows = bar(0) + bar(1) + "".join(BAD[kind]) + bar(20)
    path = written(tmp_path / "a.csv", HEADER + rows)

    with pytest.raises(SourceError, match=r"a\.csv line 4: .*--bad-rows skip"):
        read_ticks(path)
    file = read_ticks(path, skip_bad_rows=True)

    assert file.understood.skipped == {kind: len(BAD[kind])}
    assert file.understood.rows == 3
    assert f"left out: {len(BAD[kind])} {kind}" in file.understood.lines()[0]
    assert [tick.ts for tick in file.ticks][::4] == [(T0 + 60 * nth) * 1000 for nth in (0, 1, 20)]


def test_all_together_leave_the_good_rows(tmp_path: Path) -> None:
    file = read_ticks(written(tmp_path / "a.csv", everything()), skip_bad_rows=True)

    assert file.understood.skipped == {kind: len(rows) for kind, rows in BAD.items()}
    assert file.understood.rows == 3
    assert file.count == 12


def test_a_row_that_is_bad_in_two_ways_counts_once(tmp_path: Path) -> None:
    text = HEADER + bar(0) + bar(1) + "soon,,6,9,-5\n"

    file = read_ticks(written(tmp_path / "a.csv", text), skip_bad_rows=True)

    assert file.understood.skipped == {"bad_time": 1}


def test_the_second_of_two_bars_is_left_out_only_where_the_first_is_good(tmp_path: Path) -> None:
    text = HEADER + bar(0) + bar(1, "5,6,4,") + bar(1, "7,8,6,7") + bar(2)

    file = read_ticks(written(tmp_path / "a.csv", text), skip_bad_rows=True)

    assert file.understood.skipped == {"missing_price": 1}
    assert [tick.price for tick in file.ticks][4:8] == [7, 6, 8, 7]


def test_a_file_without_a_good_row_is_refused_whatever_is_asked(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "time,price\nsoon,1\nlater,2\n")

    with pytest.raises(SourceError, match=r"line 2: time 'soon' \(2 such rows\)"):
        read_ticks(path, skip_bad_rows=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_lines_are_those_of_an_editor(tmp_path: Path, encoding: str) -> None:
    """Below remarks, past empty lines, quoted line breaks and lines that were left out."""
    text = f'a remark\n\ntime,symbol,price\n\n{T0},"a\nb",5\n\n{T0},A,5,9\n{T0},A,5\n{T0},A,-5\n'
    path = written(tmp_path / "a.csv", text.encode(encoding))

    with pytest.raises(SourceError) as refusal:
        read_ticks(path, layout=Layout(skip_lines=1))

    message = str(refusal.value)
    assert "line 5: symbol 'a\\nb'" in message
    assert f"line 8: '{T0},A,5,9' has 4 fields" in message
    assert "line 10: price '-5'" in message


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_count_is_right_past_many_blocks(tmp_path: Path, count: int) -> None:
    rows = [f"{T0 + nth},5\n" for nth in range(300_000)]
    for nth in range(count):
        rows[40_000 * nth + 123] = f"{T0},5,6\n"
    rows[290_000] = f"{T0 + 1},-5\n"
    path = written(tmp_path / "a.csv", "time,price\n" + "".join(rows))

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)

    assert f"line 125: '{T0},5,6' has 3 fields" in str(refusal.value)
    assert "line 290002: price '-5'" in str(refusal.value)
    assert read_ticks(path, skip_bad_rows=True).understood.skipped == {
        "wrong_fields": count,
        "bad_price": 1,
    }
