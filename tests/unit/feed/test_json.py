"""JSON as interfaces, consoles and databases give it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.feed.layout import Layout
from tests.unit.feed.test_files import T0, written

TICKS = [{"ts": T0 * 1000 + nth, "price": 5.5 + nth} for nth in range(3)]
LINES = "".join(json.dumps(each) + "\n" for each in TICKS)
KLINES = [
    [ms, "1", "2", "0.5", "1.5", "10", ms + 59_999, "15", 3, "5", "7", "0"]
    for ms in range(T0 * 1000, T0 * 1000 + 180_000, 60_000)
]


def prices(path: Path, **how: Any) -> list[float]:
    return [tick.price for tick in read_ticks(path, **how).ticks]


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode("utf-8-sig"),
        LINES.encode("utf-16"),
        json.dumps(TICKS).encode(),
        json.dumps(TICKS, indent=1).encode("utf-8-sig"),
        LINES.replace("}\n", "},\n").encode(),
        LINES.replace("5.5", '"5.5"').encode(),
        LINES.replace("}", ', "more": {"a": 1}}', 1).replace("}\n", ', "x": 1}\n').encode(),
    ],
    ids=["byte order mark", "utf-16", "array", "array on lines", "commas", "types", "more fields"],
)
def test_objects_however_they_are_written(tmp_path: Path, content: bytes) -> None:
    assert prices(written(tmp_path / "a.json", content)) == [5.5, 6.5, 7.5]


@pytest.mark.parametrize("content", [json.dumps(KLINES), "\n".join(map(json.dumps, KLINES))])
def test_rows_in_an_array_are_taken_for_the_known_layout(tmp_path: Path, content: str) -> None:
    file = read_ticks(written(tmp_path / "a.json", content))

    assert (file.kind, file.understood.taken_for, file.understood.rows) == (
        *("bars", "binance-klines", 3),
    )


def test_a_field_of_several_types_is_text(tmp_path: Path) -> None:
    events = [{**tick, "trade_id": id_} for tick, id_ in zip(TICKS, (7, "x", None), strict=True)]
    file = read_ticks(written(tmp_path / "a.json", "\n".join(map(json.dumps, events))))

    assert [tick.id for tick in file.ticks] == ["7", "x", None]


@pytest.mark.parametrize("bad", ["oops", '{"ts": 164', "[1]"])
def test_a_line_that_is_no_object_has_its_number_and_may_be_left_out(
    tmp_path: Path, bad: str
) -> None:
    first, *rest = LINES.splitlines()
    path = written(tmp_path / "a.json", "\n".join((first, "", bad, *rest)) + "\n")

    with pytest.raises(SourceError, match=r"line 3: .* is no JSON object; .*--bad-rows skip"):
        read_ticks(path)
    file = read_ticks(path, skip_bad_rows=True)
    assert file.count == 3
    assert file.understood.skipped == {"bad_json": 1}


def test_rows_after_a_bad_line_have_their_own_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", LINES.replace("7.5", "-1").replace("\n", "\noops\n", 1))

    with pytest.raises(SourceError, match=r"line 2: 'oops'.*; line 4: price '-1.0'"):
        read_ticks(path)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tick: {"schema": {"type": "struct"}, "payload": tick},
        lambda tick: {"stream": "btc@trade", "data": tick},
        lambda tick: {"ts": {"$date": tick["ts"]}, "price": {"$numberDecimal": str(tick["price"])}},
    ],
    ids=["connect", "binance", "mongodb"],
)
def test_an_envelope_is_opened(tmp_path: Path, wrap: Any) -> None:
    path = written(tmp_path / "a.json", "\n".join(json.dumps(wrap(tick)) for tick in TICKS))

    assert prices(path) == [5.5, 6.5, 7.5]


def test_fields_of_objects_can_be_mapped(tmp_path: Path) -> None:
    events = [{"time": tick["ts"], "mid": {"last": tick["price"]}} for tick in TICKS]
    path = written(tmp_path / "a.json", "\n".join(map(json.dumps, events)))

    with pytest.raises(SourceError, match=r"no price column among time, mid.last;"):
        read_ticks(path)
    assert prices(path, columns={"price": "mid.last"}) == [5.5, 6.5, 7.5]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"ticker": "A", "results": TICKS},
            r"in 'results'.*jq -c '\.\[\"results\"\]\[\]'",
        ),
        ({"time": [1, 2], "price": [3, 4]}, r"all rows in 'time'.*to_json\(orient=\"records\""),
        ({"time": {"0": 1, "1": 2}, "price": {"0": 3, "1": 4}}, r"'time'.*to_json\("),
    ],
)
def test_one_object_with_all_rows_is_refused_with_what_splits_it(
    tmp_path: Path, content: Any, told: str
) -> None:
    with pytest.raises(SourceError, match=told):
        read_ticks(written(tmp_path / "a.json", json.dumps(content)))


def test_one_trade_with_a_list_is_a_row(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", json.dumps({**TICKS[0], "conditions": [12, 37]}))

    assert prices(path) == [5.5]


def test_a_field_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", '{"ts":1640995200000,"price":1,"price":2}\n')

    with pytest.raises(SourceError, match="specified twice"):
        read_ticks(path)


@pytest.mark.parametrize("wrap", [lambda time: {"d": {"at": time}}, lambda time: {"d": [time]}])
def test_a_zone_that_a_time_inside_an_object_has_is_not_lost(tmp_path: Path, wrap: Any) -> None:
    """A field of the whole time inside an object was read as one without a zone."""
    times = ["2024-03-04T10:00:00Z", "2024-03-04T12:00:01+02:00"]
    rows = [{**wrap(time), "ts": time, "price": 5.5} for time in times]
    path = written(tmp_path / "a.json", "\n".join(map(json.dumps, rows)))
    name = "d.at" if "at" in str(rows) else "ts"
    layout = Layout(columns={"time": name}, time_zone="America/New_York")

    found = [tick.ts for tick in read_ticks(path, layout=layout).ticks]

    assert found == [1709546400000, 1709546401000]
