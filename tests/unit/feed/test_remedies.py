"""What a refusal offers helps, for files that are only a little unusual."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.feed.layout import Layout

ROWS = "time,price\n1709544600,1.5\n1709544660,1.6\n"
JSON = '{"ts":1709544600,"price":1.5}\n{"ts":1709544660,"price":2}\n'
TWICE = ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text", [ROWS, '{"ts":1709544600,"price":1.5}\n{"ts":1709544660,"price":2}']
)
def test_utf16_without_its_mark_is_read(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(name))

    assert read_ticks(path).count == 2


@pytest.mark.parametrize("mark", ["^", "~", " "])
def test_another_separator_is_named(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(ROWS.replace(",", mark))

    with pytest.raises(SourceError, match=r"write delimiter = .* to a --layout file; pass over"):
        read_ticks(path)
    assert read_ticks(path, layout=Layout(delimiter=mark)).count == 2


@pytest.mark.parametrize("text", ["<html>", "see the file READ.me", "version https://a.b/c"])
def test_a_line_of_words_is_not_taken_for_columns(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text + "\n")

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)
    assert "delimiter =" not in str(refusal.value)


def test_the_hour_that_occurs_twice_asks_for_the_zone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    bars = "".join(f"2024-10-27 {each},1,1,1,1\n" for each in TWICE)
    path.write_text("time,open,high,low,close\n" + bars)

    with pytest.raises(SourceError, match="zone whose summer time ends there with --time-zone"):
        read_ticks(path)
    assert read_ticks(path, layout=Layout(time_zone="Europe/Berlin")).understood.rows == 6


def test_a_header_in_another_language_is_told_all_that_is_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Datum;Eröffnung;Hoch;Tief;Schluss\n2024-03-04;1;2;0,5;1\n", encoding="utf-8")

    with pytest.raises(SourceError, match=r"--column open=NAME .* --column close=NAME"):
        read_ticks(path, columns={"time": "Datum"})
