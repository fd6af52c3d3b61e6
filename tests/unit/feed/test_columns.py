from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import SourceError
from stream_app.feed.columns import find_columns, parse_mapping

FILE = Path("prices.csv")


@pytest.mark.parametrize(
    ("header", "kind", "positions"),
    [
        ("timestamp,price", "ticks", {"time": 0, "price": 1}),
        ("Open Time,LAST", "ticks", {"time": 0, "price": 1}),
        ("px,qty,Ticker,date_time", "ticks", {"price": 0, "size": 1, "symbol": 2, "time": 3}),
        ("id,ts,p,q", "ticks", {"time": 1, "price": 2, "size": 3}),
        ("date,close", "ticks", {"time": 0, "price": 1}),
        ("time,last,open,high,low", "ticks", {"time": 0, "price": 1}),
        (
            "timestamp,open,high,low,close,volume",
            "bars",
            {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5},
        ),
        ("t,o,h,l,c", "bars", {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4}),
        (
            "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,Instrument",
            "bars",
            {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "symbol": 6},
        ),
        (
            "open_time,open,high,low,close,volume,close_time,quote_volume",
            "bars",
            {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5},
        ),
    ],
)
def test_usual_names_are_recognised(header: str, kind: str, positions: dict[str, int]) -> None:
    found = find_columns(FILE, header.split(","), {})

    assert found.kind == kind
    assert found.positions == positions


@pytest.mark.parametrize(
    ("header", "mapping", "kind", "positions"),
    [
        ("MyTime,Px2", {"time": "MyTime", "price": "Px2"}, "ticks", {"time": 0, "price": 1}),
        ("time,last,px", {"price": "px"}, "ticks", {"time": 0, "price": 2}),
        ("time,open,high,low,close,last", {"price": "last"}, "ticks", {"time": 0, "price": 5}),
        (
            "time,open,high,low,settle",
            {"close": "settle"},
            "bars",
            {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4},
        ),
        (
            "time,open,high,low,close,price",
            {"close": "close"},
            "bars",
            {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4},
        ),
    ],
)
def test_a_mapped_column_wins(
    header: str, mapping: dict[str, str], kind: str, positions: dict[str, int]
) -> None:
    found = find_columns(FILE, header.split(","), mapping)

    assert found.kind == kind
    assert found.positions == positions


@pytest.mark.parametrize(
    ("header", "mapping", "found", "remedy"),
    [
        ("foo,price", {}, "no time column among foo, price", "--column time=NAME"),
        ("time,foo", {}, "no price column among time, foo", "--column price=NAME"),
        ("time,ts,price", {}, "2 columns could be the time: time, ts", "--column time=NAME"),
        ("timeOpen,timestamp,price", {}, "time: timeOpen, timestamp", "--column time=NAME"),
        ("exchange_time,local_time,p", {}, "time: exchange_time, local_time", "time=NAME"),
        ("time,open,high,low,last", {}, "bars, or ticks", "close=last or --column price"),
        ("Date,Open,High,Low,Last Price", {}, "open, high, low and Last Price", "'price=Last Pr"),
        ("time,price,Last", {}, "2 columns could be the price: price, Last", "--column price=NAME"),
        ("time,price,price", {}, "could be the price: price, price", "--column price=NAME"),
        ("time,price,vol,qty", {}, "could be the size: vol, qty", "--column size=NAME"),
        ("time,open,high,close", {}, "bars without low", "--column low=NAME"),
        ("time,o,h,l,c,price", {}, "both a price (price) and open", "--column close=c"),
        ("time,px", {"time": "Zeit"}, "no column 'Zeit' among time, px", "--column time=NAME"),
        ("time,px", {"price": "px", "open": "px"}, "maps price, of ticks, and open", "map time"),
        (",".join(f"c{nth}" for nth in range(40)), {}, "c11 and 28 more", "--column time=NAME"),
    ],
)
def test_an_unclear_header_is_refused(
    header: str, mapping: dict[str, str], found: str, remedy: str
) -> None:
    with pytest.raises(SourceError) as refusal:
        find_columns(FILE, header.split(","), mapping)

    message = str(refusal.value)
    assert message.startswith("prices.csv: ")
    assert found in message
    assert "looked for" in message or "one kind" in message
    assert remedy in message.rpartition(";")[2]
    assert "\n" not in message


def test_mapping_options_are_parsed() -> None:
    assert parse_mapping(["time=My Time", "Price = a=b"]) == {"time": "My Time", "price": "a=b"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["time"], "--column time: wanted ROLE=NAME"),
        (["time="], "--column time=: wanted ROLE=NAME"),
        (["tiem=T"], "--column tiem=T: wanted ROLE=NAME with a role of time, symbol, price"),
        (["time=A", "time=B"], "--column time=B: time is already mapped to 'A'"),
    ],
)
def test_a_wrong_mapping_option_is_refused(options: list[str], found: str) -> None:
    with pytest.raises(SourceError) as refusal:
        parse_mapping(options)

    assert str(refusal.value).startswith(found)
    assert "\n" not in str(refusal.value)
