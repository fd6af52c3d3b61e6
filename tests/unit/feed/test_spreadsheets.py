"""What spreadsheets, terminals and exchanges write around their rows."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.feed.layout import Layout
from tests.unit.feed.test_files import CSV, T0, THREE, written

BARS = "time,open,high,low,close\n" + "".join(f"{T0 + 60 * n},5,6,4,5.5\n" for n in range(3))
EXPECTED = [(tick.ts, tick.price, tick.size) for tick in THREE]


@pytest.mark.parametrize(
    "content",
    [
        CSV.replace("\n", "\r"),
        CSV.replace("\n", "\r").encode("utf-16"),
        "sep=;\n" + CSV.replace(",", ";"),
        '\ufeff"sep=;"\r\n' + CSV.replace(",", ";").replace("\n", "\r\n"),
        "SEP=,\n" + CSV,
        CSV + ",,\n,,\n",
        CSV.replace("\n", ",\n").replace("Size,", "Size"),
    ],
    ids=["CR", "CR in UTF-16", "sep", "sep in quotes", "sep in capitals", "blank rows", "commas"],
)
def test_it_is_read_all_the_same(tmp_path: Path, content: str | bytes) -> None:
    file = read_ticks(written(tmp_path / "btc.csv", content))

    assert [(tick.ts, tick.price, tick.size) for tick in file.ticks] == EXPECTED


def test_blank_rows_are_said_and_others_are_not_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", CSV + ",,\n,,\n")

    assert read_ticks(path).notices == (
        f"{path}: rows at the end without a value in the columns used left out: 2",
    )
    with pytest.raises(SourceError, match="line 3: time is missing"):
        read_ticks(written(path, "time,price\n" + f"{T0},5\n,\n{T0 + 1},6\n"))
    with pytest.raises(SourceError, match="line 2: time is missing"):
        read_ticks(written(path, "time,price\n,\n,\n"))


def test_the_line_of_a_bad_row_counts_carriage_returns(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", CSV.replace("7.25", "x").replace("\n", "\r"))

    with pytest.raises(SourceError, match="line 4: price 'x'"):
        read_ticks(path)


@pytest.mark.parametrize("mark", ["'", "\u2019"])
def test_swiss_thousands_are_read(tmp_path: Path, mark: str) -> None:
    content = (
        f"time;price\n{T0};46{mark}000.00\n{T0 + 1};1{mark}046{mark}029.63\n{T0 + 2};46{mark}000\n"
    )

    file = read_ticks(written(tmp_path / "a.csv", content))

    assert [tick.price for tick in file.ticks] == [46_000, 1_046_029.63, 46_000]


def test_a_checksum_beside_the_file_does_not_count(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("BTC.csv", CSV)
        archive.writestr("BTC.csv.CHECKSUM", "abc  BTC.csv")

    assert read_ticks(written(tmp_path / "btc.zip", made.getvalue())).count == 3


KRAKEN = "1709510400.1820,46029.63,4.4589,b,m,\n1709510460.4489,46012.03,7.0985,s,m,\n"
KRAKEN_BY_PRICE = "46029.63,4.4589,1709510400.1234,b,m,,400000\n" * 2
COINBASE = "".join(f"{T0 + 60 * n},4,6,5,5.5,7\n" for n in range(3))
BITFINEX = "".join(f"{T0 + 60 * n},5,5.5,6,4,7\n" for n in range(3))


@pytest.mark.parametrize(
    ("content", "names", "price"),
    [
        (KRAKEN, "time,price,size,extra4,extra5,extra6", 46029.63),
        (KRAKEN_BY_PRICE, "price,size,time,extra4,extra5,extra6,extra7", 46029.63),
        (COINBASE, "time,low,high,open,close,volume", 5),
        (BITFINEX, "time,open,close,high,low,volume", 5),
    ],
    ids=["Kraken", "Kraken's interface", "Coinbase", "Bitfinex"],
)
def test_the_names_that_are_advised_read_the_file(
    tmp_path: Path, content: str, names: str, price: float
) -> None:
    path = written(tmp_path / "a.csv", content)

    with pytest.raises(SourceError, match=f"--names {names}(, or|$)"):
        read_ticks(path)
    file = read_ticks(path, layout=Layout(names=tuple(names.split(","))))

    assert next(file.ticks).price == price
    assert not file.notices


@pytest.mark.parametrize(
    ("content", "advice", "layout"),
    [
        (
            "Date,Price\nMar 4, 2024,5\nMar 5, 2024,6\n",
            '--names day,year,Price --column time=day+year --time-format "%b %d %Y"',
            {
                "names": ("day", "year", "Price"),
                "columns": {"time": "day+year"},
                "time_format": "%b %d %Y",
            },
        ),
        (
            'Price,Date\n5,March 4, 2024 00:00\n6,"March 5, 2024 00:00",\n',
            '--names Price,day,year --column time=day+year --time-format "%B %d %Y %H:%M"',
            None,
        ),
        (
            "time,price\nMon, 04 Mar 2024 00:00:00 GMT,5\nTue, 05 Mar 2024 00:00:00 GMT,6\n",
            "--names weekday,time,price",
            {
                "names": ("weekday", "time", "price"),
                "time_format": "%d %b %Y %H:%M:%S %Z",
            },
        ),
    ],
)
def test_a_comma_within_a_date_is_named(
    tmp_path: Path, content: str, advice: str, layout: dict[str, object] | None
) -> None:
    path = written(tmp_path / "a.csv", content)

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)

    assert f"--skip-lines 1 {advice}" in str(refusal.value)
    assert "put quotes around the times" in str(refusal.value)
    if layout is not None:
        file = read_ticks(path, layout=Layout(skip_lines=1, **layout))  # type: ignore[arg-type]
        assert [tick.ts for tick in file.ticks] == [1_709_510_400_000, 1_709_596_800_000]


TICKS = """<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>
2022.01.01\t00:00:00.000\t\t1.5\t\t\t4
2022.01.01\t00:00:01.747\t1.1\t1.3\t\t\t6
2022.01.01\t00:00:02.000\t1.2\t\t\t\t2
2022.01.01\t00:00:03.000\t\t1.6\t\t\t4
"""


def test_an_empty_side_of_metatrader_ticks_is_unchanged(tmp_path: Path) -> None:
    path = written(tmp_path / "EURUSD.csv", TICKS)

    file = read_ticks(path)

    assert file.understood.taken_for == "metatrader-5-ticks"
    assert [(tick.ts - T0 * 1000, tick.price, tick.size) for tick in file.ticks] == [
        (1747, 1.2, None),
        (2000, 1.25, None),
        (3000, 1.4, None),
    ]
    assert file.notices == (f"{path}: rows before the first bid and ask left out: 1",)


def test_elsewhere_an_empty_side_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"time,bid,ask\n{T0},1,2\n{T0 + 1},1,\n")

    with pytest.raises(SourceError, match="line 3: ask or bid is missing"):
        read_ticks(path, columns={"price": "bid+ask"})


def test_standard_input_is_called_by_its_name() -> None:
    with pytest.raises(SourceError, match=r"^-: no such file; .*give /dev/stdin and --symbol NAME"):
        read_ticks(Path("-"))


def test_a_pipe_has_no_symbol() -> None:
    from stream_app.feed.symbols import symbol_of

    with pytest.raises(SourceError, match=r"^/dev/stdin: no column of symbols.*--symbol NAME$"):
        symbol_of(Path("/dev/stdin"))
