"""Numbers as countries and spreadsheets write them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks

BARS = "time;open;high;low;close;volume\n2024-03-04 09:30;{row}\n2024-03-04 09:31;{row}\n"


def read(path: Path, text: str) -> list[tuple[float, float | None]]:
    path.write_text(text, encoding="utf-8")
    return [(tick.price, tick.size) for tick in read_ticks(path).ticks]


@pytest.mark.parametrize("volume", ["12 345", "12\u00a0345", "12\u202f345", "12'345", "12.345"])
def test_a_volume_in_groups_beside_decimal_commas(tmp_path: Path, volume: str) -> None:
    found = read(tmp_path / "a.csv", BARS.format(row=f"1,5;1,6;1,4;1,55;{volume}"))

    assert found[-1] == (1.55, 12345.0)


@pytest.mark.parametrize("volume", ["12 345", "12\u00a0345", "12'345", "12,345"])
def test_a_volume_in_groups_beside_decimal_points(tmp_path: Path, volume: str) -> None:
    found = read(tmp_path / "a.csv", BARS.format(row=f"1.5;1.6;1.4;1.55;{volume}"))

    assert found[-1] == (1.55, 12345.0)


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ("1 234.50", 1234.5),
        ("1\u00a0234.50", 1234.5),
        ("1,22,990.00", 122990.0),
        ("1,23,45,678.50", 12345678.5),
        ("1,5E-05", 1.5e-05),
        ("1.234,5", 1234.5),
    ],
)
def test_a_price_that_can_be_read_in_one_way_only(
    tmp_path: Path, written: str, price: float
) -> None:
    assert read(tmp_path / "a.csv", f"time;price\n2024-03-04;{written}\n") == [(price, None)]


def test_groups_of_two_commas_tell_that_a_comma_is_of_thousands(tmp_path: Path) -> None:
    text = 'time,price,volume\n2024-03-04,"38,915","1,234,567"\n'

    assert read(tmp_path / "a.csv", text) == [(38915.0, 1234567.0)]


def test_a_quoted_price_between_commas_is_not_taken_for_thousands(tmp_path: Path) -> None:
    """`"151,123"` is a yen rate with a decimal comma in one country, and thousands in another."""
    text = 'time,price\n2024-03-04 09:30,"151,123"\n2024-03-04 09:31,"151,124"\n'

    with pytest.raises(SourceError, match=r"price '151,123' could have a decimal comma.*--decimal"):
        read(tmp_path / "a.csv", text)


@pytest.mark.parametrize("word", ["#N/A", "#N/A N/A", "--", r"\N", "<NA>"])
def test_a_word_for_no_size(tmp_path: Path, word: str) -> None:
    assert read(tmp_path / "a.csv", f"time,price,size\n2024-03-04,1.5,{word}\n") == [(1.5, None)]


def test_short_floats_keep_their_decimals(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"ts": [1709544600], "price": pa.array([1.1], pa.float32())}), path)

    assert next(read_ticks(path).ticks).price == 1.1
