"""Files as exchanges, brokers and programs export them, each kind small and with its values."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import feather

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.feed.layout import Layout, known_layouts, load_layout, recognised
from tests.unit.feed.test_files import written


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A file's text, and what is right: its kind, first row (start, close, volume) and symbol."""

    name: str
    text: str
    kind: str
    first: tuple[str, float, float | None]
    rows: int
    symbol: str | None = None
    taken_for: str | None = None
    layout: dict[str, Any] = field(default_factory=dict)


def lines(*rows: str, end: str = "\n") -> str:
    return end.join(rows) + end


KINDS = [
    Kind(
        name="binance klines",
        text=lines(
            "1637971200000,0.00002853,0.00002854,0.00002851,0.00002854,36304.20,1637971259999,"
            "1.03,79,19523.0,0.55,0",
            "1637971260000,0.00002854,0.00002860,0.00002854,0.00002859,89196.60,1637971319999,"
            "2.54,98,59004.2,1.68,0",
        ),
        kind="bars",
        first=("2021-11-27T00:00:00Z", 0.00002854, 36304.2),
        rows=2,
        taken_for="binance-klines",
    ),
    Kind(
        name="binance klines in microseconds with a header",
        text=lines(
            "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
            "taker_buy_volume,taker_buy_quote_volume,ignore",
            "1735689600000000,10,12,9,11,5,1735689659999999,55,3,2,22,0",
            "1735689660000000,11,13,10,12,6,1735689719999999,66,3,2,22,0",
        ),
        kind="bars",
        first=("2025-01-01T00:00:00Z", 11.0, 5.0),
        rows=2,
    ),
    Kind(
        name="binance aggTrades",
        text=lines(
            "26129,0.01633102,4.70443515,27781,27781,1498793709153,true,true",
            "26130,0.01633103,1.5,27782,27783,1498793709160,False,True",
        ),
        kind="ticks",
        first=("2017-06-30T03:35:09.153Z", 0.01633102, 4.70443515),
        rows=2,
        taken_for="binance-agg-trades",
    ),
    Kind(
        name="binance trades",
        text=lines(
            "41500000,16541.77,0.001,16.54,1672531200000,True,True",
            "41500001,16541.78,0.002,33.08,1672531200001,False,True",
        ),
        kind="ticks",
        first=("2023-01-01T00:00:00Z", 16541.77, 0.001),
        rows=2,
        taken_for="binance-trades",
    ),
    Kind(
        name="kraken ohlcvt",
        text=lines("1381017600,122.0,123.0,121.5,122.5,0.1,1", "1381104000,122,124,122,123,2,3"),
        kind="bars",
        first=("2013-10-06T00:00:00Z", 122.5, 0.1),
        rows=2,
        taken_for="kraken-ohlcvt",
    ),
    Kind(
        name="kraken trades",
        text=lines("1672620536,90.07,1.1", "1672621569,90,5e-07", "1672621569,90,5e-07"),
        kind="ticks",
        first=("2023-01-02T00:48:56Z", 90.07, 1.1),
        rows=3,
        taken_for="kraken-trades",
    ),
    Kind(
        name="ccxt",
        text=lines("1672531200000,10,12,9,11,5", "1672531260000,11,13,10,12,6"),
        kind="bars",
        first=("2023-01-01T00:00:00Z", 11.0, 5.0),
        rows=2,
        taken_for="ohlcv",
    ),
    Kind(
        name="iso bars without a header",
        text=lines("2023-01-03 09:30:00,10,12,9,11,5", "2023-01-03 09:31:00,11,13,10,12,6"),
        kind="bars",
        first=("2023-01-03T14:30:00Z", 11.0, 5.0),
        rows=2,
        taken_for="ohlcv-iso",
        layout={"time_zone": "America/New_York"},
    ),
    Kind(
        name="histdata bars",
        text=lines("20250302 170000;1.04;1.05;1.03;1.041;0", "20250302 170100;1;1.05;1;1;0"),
        kind="bars",
        first=("2025-03-02T22:00:00Z", 1.041, 0.0),
        rows=2,
        taken_for="histdata",
    ),
    Kind(
        name="histdata bars in summer: no summer time",
        text=lines("20250702 170000;1.04;1.05;1.03;1.041;0", "20250702 170100;1;1.05;1;1;0"),
        kind="bars",
        first=("2025-07-02T22:00:00Z", 1.041, 0.0),
        rows=2,
        taken_for="histdata",
    ),
    Kind(
        name="histdata ticks",
        text=lines("20250302 170000123,1.04,1.06,0", "20250302 170001456,1.04,1.06,0"),
        kind="quotes",
        first=("2025-03-02T22:00:00.123Z", 1.05, None),
        rows=2,
        taken_for="histdata-ticks",
    ),
    Kind(
        name="metatrader 4",
        text=lines("2023.03.02,05:00,1.1,1.3,1.0,1.2,99", "2023.03.02,05:01,1.2,1.3,1.1,1.2,90"),
        kind="bars",
        first=("2023-03-02T03:00:00Z", 1.2, 99.0),
        rows=2,
        taken_for="metatrader-4",
        layout={"time_zone": "Europe/Helsinki"},
    ),
    Kind(
        name="metatrader 5",
        text=lines(
            "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
            "2023.03.02\t05:00:00\t1.1\t1.3\t1.0\t1.2\t99\t0\t3",
            "2023.03.02\t05:01:00\t1.2\t1.3\t1.1\t1.2\t90\t0\t3",
            end="\r\n",
        ),
        kind="bars",
        first=("2023-03-02T05:00:00Z", 1.2, 99.0),
        rows=2,
        taken_for="metatrader-5",
    ),
    Kind(
        name="metatrader 5 daily",
        text=lines(
            "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
            "2023.03.02\t1.1\t1.3\t1.0\t1.2\t99\t0\t3",
            "2023.03.03\t1.2\t1.3\t1.1\t1.2\t90\t0\t3",
        ),
        kind="bars",
        first=("2023-03-02T00:00:00Z", 1.2, 99.0),
        rows=2,
        taken_for="metatrader-5-daily",
    ),
    Kind(
        name="metatrader 5 ticks",
        text=lines(
            "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>",
            "2023.03.02\t05:00:00.747\t1.1\t1.3\t\t\t6",
            "2023.03.02\t05:00:01.000\t1.2\t\t\t\t2",
        ),
        kind="quotes",
        first=("2023-03-02T05:00:00.747Z", 1.2, None),
        rows=2,
        taken_for="metatrader-5-ticks",
    ),
    Kind(
        name="stooq",
        text=lines(
            "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
            "AAPL.US,5,20230302,153500,10,12,9,11,5,0",
            "AAPL.US,5,20230302,154000,11,13,10,12,6,0",
        ),
        kind="bars",
        first=("2023-03-02T15:35:00Z", 11.0, 5.0),
        rows=2,
        symbol="AAPL.US",
        taken_for="stooq",
    ),
    Kind(
        name="stooq daily, older",
        text=lines(
            "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
            "20230302,090000,10,12,9,11,5",
            "20230302,090500,11,13,10,12,6",
        ),
        kind="bars",
        first=("2023-03-02T09:00:00Z", 11.0, 5.0),
        rows=2,
    ),
    Kind(
        name="dukascopy",
        text=lines(
            "Gmt time,Open,High,Low,Close,Volume",
            "02.03.2023 00:00:00.000,1.1,1.3,1.0,1.2,99.5",
            "02.03.2023 00:01:00.000,1.2,1.3,1.1,1.2,90",
        ),
        kind="bars",
        first=("2023-03-02T00:00:00Z", 1.2, 99.5),
        rows=2,
        taken_for="dukascopy",
    ),
    Kind(
        name="dukascopy in local time",
        text=lines(
            "Local time,Open,High,Low,Close,Volume",
            "02.03.2023 00:00:00.000 GMT+0200,1.1,1.3,1.0,1.2,99.5",
            "02.03.2023 00:01:00.000 GMT+0200,1.2,1.3,1.1,1.2,90",
        ),
        kind="bars",
        first=("2023-03-01T22:00:00Z", 1.2, 99.5),
        rows=2,
        taken_for="dukascopy-local",
    ),
    Kind(
        name="dukascopy ticks",
        text=lines(
            "Gmt time,Ask,Bid,AskVolume,BidVolume",
            "02.03.2023 00:00:00.100,1.2,1.1,3,4",
            "02.03.2023 00:00:00.300,1.2,1.1,3,4",
        ),
        kind="quotes",
        first=("2023-03-02T00:00:00.100Z", 1.15, None),
        rows=2,
        taken_for="dukascopy-ticks",
    ),
    Kind(
        name="cryptodatadownload",
        text=lines(
            "https://www.CryptoDataDownload.com",
            "unix,date,symbol,open,high,low,close,Volume ETH,Volume USD,tradecount",
            "1672534800,2023-01-01 01:00:00,ETH/USD,11,13,10,12,6,72,9",
            "1672531200,2023-01-01 00:00:00,ETH/USD,10,12,9,11,5,55,9",
        ),
        kind="bars",
        first=("2023-01-01T00:00:00Z", 11.0, 5.0),
        rows=2,
        symbol="ETH/USD",
        taken_for="cryptodatadownload",
    ),
    Kind(
        name="cryptodatadownload, older",
        text=lines(
            "https://www.CryptoDataDownload.com",
            "Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD",
            "2020-01-02,BTCUSD,11,13,10,12,6,72",
            "2020-01-01,BTCUSD,10,12,9,11,5,55",
        ),
        kind="bars",
        first=("2020-01-01T00:00:00Z", 11.0, 5.0),
        rows=2,
        symbol="BTCUSD",
        taken_for="cryptodatadownload-dates",
    ),
    Kind(
        name="yfinance",
        text=lines(
            "Price,Adj Close,Close,High,Low,Open,Volume",
            "Ticker,^GSPC,^GSPC,^GSPC,^GSPC,^GSPC,^GSPC".replace("^", ""),
            "Date,,,,,,",
            "2023-03-02,10.9,11,12,9,10,500",
            "2023-03-03,11.9,12,13,10,11,600",
        ),
        kind="bars",
        first=("2023-03-02T00:00:00Z", 11.0, 500.0),
        rows=2,
        symbol="GSPC",
        taken_for="yfinance",
    ),
    Kind(
        name="pandas with an index without a name",
        text=lines(",Open,High,Low,Close,Volume", "2017-04-19 09:00:00,10,12,9,11,5",
                   "2017-04-19 10:00:00,11,13,10,12,6"),
        kind="bars",
        first=("2017-04-19T09:00:00Z", 11.0, 5.0),
        rows=2,
    ),
    Kind(
        name="backtrader: date and time apart",
        text=lines("Date,Time,Open,High,Low,Close,Volume,OpenInterest",
                   "2006-01-02,09:05:00,10,12,9,11,5,0", "2006-01-02,09:10:00,11,13,10,12,6,0"),
        kind="bars",
        first=("2006-01-02T08:05:00Z", 11.0, 5.0),
        rows=2,
        layout={"time_zone": "Europe/Berlin"},
    ),
    Kind(
        name="alpha vantage",
        text=lines("timestamp,open,high,low,close,volume", "2023-07-03 09:35:00,11,13,10,12,6",
                   "2023-07-03 09:30:00,10,12,9,11,5"),
        kind="bars",
        first=("2023-07-03T13:30:00Z", 11.0, 5.0),
        rows=2,
        layout={"time_zone": "America/New_York"},
    ),
    Kind(
        name="polygon",
        text=lines("ticker,volume,open,close,high,low,window_start,transactions",
                   "AAPL,5,10,11,12,9,1672756200000000000,3",
                   "AAPL,6,11,12,13,10,1672756260000000000,3"),
        kind="bars",
        first=("2023-01-03T14:30:00Z", 11.0, 5.0),
        rows=2,
        symbol="AAPL",
    ),
    Kind(
        name="investing.com",
        text=lines('"Date","Price","Open","High","Low","Vol.","Change %"',
                   '"03/03/2023","1,012.5","1,011.0","1,013.0","1,010.0","1.5M","0.1%"',
                   '"03/02/2023","1,011.5","1,010.0","1,012.0","1,009.0","950.25K","0.1%"',
                   '"03/01/2023","1,011.0","1,010.0","1,012.0","1,009.0","-","0.1%"'),
        kind="bars",
        first=("2023-03-01T00:00:00Z", 1011.0, None),
        rows=3,
        layout={"time_format": "%m/%d/%Y"},
    ),
    Kind(
        name="nasdaq.com",
        text=lines("Date,Close/Last,Volume,Open,High,Low",
                   "03/03/2023,$151.03,70732300,$148.045,$151.11,$147.33",
                   "03/02/2023,$145.91,52279760,$144.38,$146.71,$143.9"),
        kind="bars",
        first=("2023-03-02T00:00:00Z", 145.91, 52279760.0),
        rows=2,
        taken_for="nasdaq",
    ),
    Kind(
        name="excel with semicolons and decimal commas",
        text=lines("time;open;high;low;close;volume", "2023-03-02 00:00;1,1;1,3;1,0;1,25;1.234,5",
                   "2023-03-02 00:01;1,2;1,3;1,1;1,2;7"),
        kind="bars",
        first=("2023-03-02T00:00:00Z", 1.25, 1234.5),
        rows=2,
    ),
    Kind(
        name="excel, all numbers with one group",
        text=lines("time;price", "2023-03-02 00:00;1,234", "2023-03-02 00:01;1,235"),
        kind="ticks",
        first=("2023-03-02T00:00:00Z", 1.234, None),
        rows=2,
        layout={"decimal": ","},
    ),
    Kind(
        name="names and format given",
        text=lines("BTC|02.03.2023 13:05|16000.5", "ETH|02.03.2023 13:06|1200.25"),
        kind="ticks",
        first=("2023-03-02T13:05:00Z", 16000.5, None),
        rows=2,
        symbol="BTC",
        layout={"names": ("symbol", "time", "price"), "time_format": "%d.%m.%Y %H:%M"},
    ),
    Kind(
        name="columns by number",
        text=lines("x,1640995200,7.5", "x,1640995201,8"),
        kind="ticks",
        first=("2022-01-01T00:00:00Z", 7.5, None),
        rows=2,
        layout={"columns": {"time": "2", "price": "3"}},
    ),
    Kind(
        name="remarks above the header",
        text=lines("# exported by a program", "# all times UTC, prices in USD, really", "",
                   "time,price", "1640995200,7.5", "1640995201,8"),
        kind="ticks",
        first=("2022-01-01T00:00:00Z", 7.5, None),
        rows=2,
        layout={"skip_lines": 2},
    ),
    Kind(
        name="quotes",
        text=lines("timestamp,bid,ask", "2013-01-01 22:00:00.295000+00:00,86.655,86.728",
                   "2013-01-01 22:02:35.907000+00:00,86.657,86.728"),
        kind="quotes",
        first=("2013-01-01T22:00:00.295Z", 86.6915, None),
        rows=2,
        layout={"columns": {"price": "bid+ask"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_is_read_right(tmp_path: Path, kind: Kind) -> None:
    path = written(tmp_path / "file.csv", kind.text)

    file = read_ticks(path, layout=Layout(**kind.layout) if kind.layout else None)

    found = file.understood.as_dict()
    first = file.understood.first
    assert (found["kind"], found["rows"]) == (kind.kind, kind.rows)
    assert found["from"] == kind.first[0]
    assert first.price == pytest.approx(kind.first[1], rel=1e-12)
    assert first.size == kind.first[2]
    assert found["symbols"][0] == (kind.symbol or "FILE")
    assert file.understood.taken_for == kind.taken_for
    if kind.taken_for:
        assert f"taken for {kind.taken_for}" in file.understood.lines()[0]
    ticks = list(file.ticks)
    assert len(ticks) == kind.rows * (4 if kind.kind == "bars" else 1)
    volumes = [tick.size for tick in ticks[:4] if tick.size is not None]
    assert sum(volumes[:1]) == (kind.first[2] or 0)


@pytest.mark.parametrize("name", [name for name, one in known_layouts().items() if one.match])
def test_each_known_layout_recognises_its_kind_and_no_other(name: str) -> None:
    own = [kind for kind in KINDS if kind.taken_for == name]

    assert own, "a layout without a file that shows it"
    for kind in KINDS:
        found = recognised(kind.text.replace("\r\n", "\n"))
        assert (found is not None and found[0] == name) == (kind in own)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.taken_for], ids=lambda k: k.name)
def test_a_known_layout_can_also_be_named(tmp_path: Path, kind: Kind) -> None:
    path = written(tmp_path / "file.csv", kind.text)
    assert kind.taken_for
    layout = load_layout(kind.taken_for)[1].overlaid(**kind.layout)

    assert list(read_ticks(path, layout=layout).ticks) == list(
        read_ticks(path, layout=Layout(**kind.layout) if kind.layout else None).ticks
    )


TEXT = "time,open,high,low,close,volume\n1640995200,10,12,9,11,5\n1640995260,11,13,10,12,6\n"
JSON = (
    '{"time": "2022-01-01T00:00:00Z", "open": 10, "high": 12, "low": 9, "close": 11, "volume": 5}\n'
    '{"time": "2022-01-01 00:01:00", "open": 11, "high": 13, "low": 10, "close": 12, "volume": 6}\n'
)


def zipped(*members: tuple[str, str]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return sink.getvalue()


def as_feather(**how: Any) -> bytes:
    sink = io.BytesIO()
    columns = [column.split(",") for column in TEXT.split()]
    names, rows = columns[0], columns[1:]
    table = pa.table({name: [float(row[at]) for row in rows] for at, name in enumerate(names)})
    feather.write_feather(table, sink, **how)
    return sink.getvalue()


def as_stream() -> bytes:
    table = feather.read_table(io.BytesIO(as_feather()))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


PACKED: dict[str, Callable[[], bytes]] = {
    "x.csv": TEXT.encode,
    "utf-8 with a mark": lambda: TEXT.encode("utf-8-sig"),
    "utf-16 with a mark": lambda: TEXT.encode("utf-16"),
    "big-endian utf-16": lambda: b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "gzip": lambda: gzip.compress(TEXT.encode()),
    "zip": lambda: zipped(("x.csv", TEXT)),
    "zip from a mac": lambda: zipped(("d/", ""), ("d/x.csv", TEXT), ("__MACOSX/d/._x.csv", "?")),
    "zip of json": lambda: zipped(("x.json", JSON)),
    "zstd": lambda: pa.compress(TEXT.encode(), "zstd", asbytes=True),
    "json lines": JSON.encode,
    "json lines in gzip": lambda: gzip.compress(JSON.encode()),
    "feather": as_feather,
    "feather of version 1": lambda: as_feather(version=1),
    "feather in zstd": lambda: pa.compress(as_feather(compression="uncompressed"), "zstd",
                                           asbytes=True),
    "arrow stream": as_stream,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Feather V1")
@pytest.mark.parametrize("name", PACKED)
def test_it_is_the_same_in_whatever_it_is_packed(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "x.bin", PACKED[name]())

    file = read_ticks(path, symbol="X")

    assert file.kind == "bars"
    assert [(tick.ts, tick.price, tick.size) for tick in file.ticks] == [
        (1_640_995_200_000, 10.0, None),
        (1_640_995_259_997, 9.0, None),
        (1_640_995_259_998, 12.0, None),
        (1_640_995_259_999, 11.0, 5.0),
        (1_640_995_260_000, 11.0, None),
        (1_640_995_319_997, 10.0, None),
        (1_640_995_319_998, 13.0, None),
        (1_640_995_319_999, 12.0, 6.0),
    ]


def test_an_encoding_is_given(tmp_path: Path) -> None:
    text = "Börse;Zeit;Kurs\nXetra;2022-01-01;1,5\nXetra;2022-01-02;2,5\n"
    path = written(tmp_path / "x.csv", text.encode("cp1252"))
    columns = {"time": "Zeit", "price": "Kurs"}

    with pytest.raises(SourceError, match=r"not text in UTF-8, .*--encoding"):
        read_ticks(path, columns=columns)
    file = read_ticks(path, layout=Layout(encoding="cp1252", columns=columns))
    assert [tick.price for tick in file.ticks] == [1.5, 2.5]
    assert file.understood.unused == ("Börse",)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (zipped(("a.csv", TEXT), ("b.csv", TEXT)), r"a zip of 2 files \(a.csv, b.csv\)"),
        (zipped(("[Content_Types].xml", "<x/>"), ("xl/workbook.xml", "")), "an Excel workbook"),
        (zipped(("x.csv", TEXT))[:-30], "damaged zip"),
        (pa.compress(TEXT.encode() * 99, "zstd", asbytes=True)[:-9], "damaged zstd"),
        (b'[{"time": [1]}, 2]', "a JSON array of something else .*; write one object a line"),
        (
            b'{"time": 1640995200, "price": 2}\n{"time": "soon", "price": 2}\n',
            "row 2: time .soon.|line 2: time .soon.",
        ),
        (as_feather()[:-20], "damaged Feather or Arrow"),
    ],
)
def test_what_is_damaged_or_too_much_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    with pytest.raises(SourceError, match=found) as refusal:
        read_ticks(written(tmp_path / "x.bin", content), symbol="X")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("time,bid,ask\n1640995200,1,2\n", r"--column price=bid\+ask"),
        ("A remark\nand,another\ntime,open,px\n1640995200,1,2\n", "--skip-lines"),
        ("made by, a program\ntime,id,px\n1640995200,1,2\n1640995201,1,2\n", "--skip-lines 1"),
        ("x;2022-01-01;5,5\n", "name its 3 columns with --names extra1,time,price,"),
        ("time,price\n02.03.2023,5\n", '--time-format "%d.%m.%Y" or --time-format "%m.%d.%Y"'),
        ("time;price\n2022-01-01;1,234\n", "--decimal , or --decimal ."),
        (
            "Price,Close,Close\nTicker,A,B\nDate,,\n2022-01-01,1,2\n",
            "2 symbols side by side",
        ),
        (
            "date,price\n" + "2022-01-01,5\n" * 20 + "2022-01-02,5\n" * 20,
            r"all 40 rows lie on 2 midnights.*--column time=date\+NAME",
        ),
    ],
)
def test_a_refusal_names_the_option_that_helps(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(SourceError, match=found) as refusal:
        read_ticks(written(tmp_path / "x.csv", text))
    assert "\n" not in str(refusal.value)


def test_a_report_beside_the_table_in_a_zip_is_not_read(tmp_path: Path) -> None:
    """As HistData packs it."""
    content = zipped(("status.txt", "Gaps: none"), ("EURUSD.csv", TEXT), ("a.PDF", "%PDF"))
    path = written(tmp_path / "x.zip", content)

    assert list(read_ticks(path, symbol="X").ticks)
    with pytest.raises(SourceError, match=r"a zip of 2 files \(a.txt, b.txt\)"):
        read_ticks(written(path, zipped(("a.txt", TEXT), ("b.txt", TEXT))), symbol="X")
