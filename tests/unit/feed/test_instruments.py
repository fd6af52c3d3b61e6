"""Several instruments in one file are told apart, or the file is refused; never merged unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_app.errors import SourceError
from stream_app.feed.columns import find_columns
from stream_app.feed.files import read_ticks
from tests.unit.feed.test_files import T0, written

EVENT: dict[str, Any] = {"e": "aggTrade", "E": T0 * 1000 + 3, "m": True, "p": "5.5", "q": "1.5"}


def lines(*events: dict[str, Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


@pytest.mark.parametrize(
    ("event", "ids"),
    [
        ({**EVENT, "T": T0 * 1000}, (None, None)),
        ({**EVENT, "T": T0 * 1000, "a": 7}, ("7", "7")),
        ({**EVENT, "e": "trade", "t": 12, "T": T0 * 1000}, ("12", "12")),
        ({"p": 5.5, "v": 1.5, "t": T0 * 1000, "c": ["1"]} | {"c": None}, (None, None)),
    ],
    ids=["aggTrade", "aggTrade with its id", "trade", "finnhub"],
)
def test_the_symbols_of_streams_with_short_names_are_told_apart(
    tmp_path: Path, event: dict[str, Any], ids: tuple[str | None, ...]
) -> None:
    event = {name: value for name, value in event.items() if value is not None}
    path = written(tmp_path / "a.jsonl", lines({**event, "s": "ETHUSDT"}, {**event, "s": "BTC"}))

    file = read_ticks(path)

    assert file.symbols == ("ETHUSDT", "BTC")
    assert file.understood.symbol_from == "the column s"
    assert [(tick.ts, tick.price, tick.size) for tick in file.ticks] == [(T0 * 1000, 5.5, 1.5)] * 2
    assert tuple(tick.id for tick in file.ticks) == ids


@pytest.mark.parametrize(
    ("header", "row", "symbol"),
    [
        ("t,s,p,q", "1,BTC,2,3", 1),
        ("t,s,p,q", "1,buy,2,3", None),
        ("t,s,p,q", "1,7,2,3", None),
        ("t,p,s", "1,2,BTC", None),
        ("sym,t,p,q,s", "A,1,2,3,BTC", 0),
        ("time,s,price,size", "1,BTC,2,3", None),
    ],
)
def test_a_column_s_is_the_symbol_only_among_short_names(
    header: str, row: str, symbol: int | None
) -> None:
    found = find_columns(Path("a.csv"), header.split(","), {}, row.split(","))

    assert found.positions.get("symbol") == symbol


HOUR = range(60)


def two(names: tuple[str, str], prices: tuple[float, float], apart_s: int = 0) -> str:
    """A minute is a row of each, the second one so many seconds later."""
    drift = np.random.default_rng(3).normal(1, 2e-4, 2 * len(HOUR)).tolist()
    rows = "time,name,price\n"
    for minute in HOUR:
        for nth, (name, price) in enumerate(zip(names, prices, strict=True)):
            at = T0 + 60 * minute + nth * apart_s
            rows += f"{at},{name},{price * drift[2 * minute + nth]:.4f}\n"
    return rows


@pytest.mark.parametrize("apart_s", [0, 7])
def test_a_column_that_tells_instruments_apart_must_be_named(tmp_path: Path, apart_s: int) -> None:
    path = written(tmp_path / "a.csv", two(("AAPL", "MSFT"), (170, 400), apart_s))

    with pytest.raises(SourceError) as refusal:
        read_ticks(path)

    message = str(refusal.value)
    assert "column 'name' has 2 values ('AAPL', 'MSFT') and is not used" in message
    assert "--column symbol=name" in message
    assert "\n" not in message
    named = read_ticks(path, columns={"symbol": "name"})
    assert named.symbols == ("AAPL", "MSFT")
    assert not named.notices
    given = read_ticks(path, symbol="X")
    assert given.notices[0].startswith("warning: ")
    assert "--column symbol=name" in given.notices[0]


def test_bars_of_two_instruments_are_not_taken_for_repeated_ones(tmp_path: Path) -> None:
    rows = "date,instrument_name,open,high,low,close\n" + "".join(
        f"{T0 + 60 * minute},{name},{price},{price},{price},{price}\n"
        for minute in HOUR
        for name, price in (("AAPL", 170), ("MSFT", 400))
    )

    with pytest.raises(SourceError, match="--column symbol=instrument_name"):
        read_ticks(written(tmp_path / "a.csv", rows), skip_bad_rows=True)


def test_prices_that_are_alike_are_only_warned_of(tmp_path: Path) -> None:
    file = read_ticks(written(tmp_path / "a.csv", two(("kraken", "bitstamp"), (400, 400))))

    assert len(file.notices) == 1
    assert file.notices[0].startswith("warning: ")
    assert "--column symbol=name" in file.notices[0]


@pytest.mark.parametrize(
    "content",
    [
        two(("buy", "sell"), (400, 404.5)),
        "time,price,note\n" + "".join(f"{T0 + nth},{100 + nth % 7},x{nth}\n" for nth in HOUR),
        "time,price,day\n"
        + "".join(
            f"{T0 + 43_200 * nth},{100 + 5 * (nth // 2 % 3) + nth % 2 / 2},{day}\n"
            for nth in HOUR
            for day in [("Mon", "Tue")[nth // 2 % 2]]
        ),
        "time,price,exchange\n" + "".join(f"{T0 + nth},{100 + nth},N\n" for nth in HOUR),
    ],
    ids=["sides", "remarks", "days of the week", "one value"],
)
def test_other_texts_are_no_instruments(tmp_path: Path, content: str) -> None:
    assert not read_ticks(written(tmp_path / "a.csv", content)).notices


@pytest.mark.parametrize("name", ["code", "instrument_id", "\u80a1\u7968\u4ee3\u7801"])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_numbers_may_name_instruments(tmp_path: Path, name: str, ending: str) -> None:
    rows = [line.split(",") for line in two(("7203", "9984"), (3400, 8800)).splitlines()[1:]]
    events = [{"time": int(at), name: int(code), "price": float(p)} for at, code, p in rows]
    table = two(("7203", "9984"), (3400, 8800)).replace("name", name)
    path = written(tmp_path / f"a.{ending}", table if ending == "csv" else lines(*events))

    with pytest.raises(SourceError, match=rf"2 values .*'7203', '9984'.*--column symbol={name}"):
        read_ticks(path)
    assert read_ticks(path, columns={"symbol": name}).symbols == ("7203", "9984")


@pytest.mark.parametrize("name", ["code", "bid", "exchange_id", "trades"])
def test_other_numbers_are_no_instruments(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "a.csv", two(("1", "2"), (400, 400.5)).replace("name", name))

    assert not read_ticks(path).notices


def test_an_unused_id_of_any_type_is_left_alone(tmp_path: Path) -> None:
    events = [{"_id": {"$oid": "a"}, "id": None, "time": T0 + n, "price": 5.5} for n in HOUR]

    assert not read_ticks(written(tmp_path / "a.jsonl", lines(*events))).notices
