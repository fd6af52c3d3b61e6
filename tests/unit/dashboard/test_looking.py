"""What a browser asks for, and the page of the table that it gets."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.dashboard.looking import Looking
from stream_app.overview.read_model import ReadModel
from stream_app.overview.symbol_table import ROWS_A_PAGE, SymbolTable, TablePage
from tests.builders import START_MS
from tests.topic_records import FakeClock, prediction, read_model, retrain


def test_a_query_is_read_and_what_is_absent_has_its_default() -> None:
    assert Looking.of({}) == Looking()
    query = {
        "symbol": "^GSPC",
        "view": "day",
        "sort": "move",
        "desc": "1",
        "filter": "usd",
        "problems": "1",
        "page": "3",
        "unknown": "passed over",
    }
    page = TablePage(sort="move", descending=True, contains="usd", only_problems=True, number=3)
    assert Looking.of(query) == Looking(symbol="^GSPC", view="day", page=page)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"symbol": "A B"}, "symbol"),
        ({"symbol": "x" * 65}, "symbol"),
        ({"view": "week"}, "view=week: allowed are live, day"),
        ({"sort": "__class__"}, "sort"),
        ({"page": "-1"}, "page"),
        ({"page": "²"}, "page"),
        ({"page": "9" * 5000}, "page"),
        ({"filter": "x" * 65}, "filter"),
    ],
)
def test_a_wrong_query_is_refused_in_one_line(query: dict[str, str], word: str) -> None:
    with pytest.raises(ValueError, match=word) as refused:
        Looking.of(query)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.fixture
def model() -> ReadModel:
    made = read_model(FakeClock())
    for number in range(60):
        record = prediction(
            START_MS + number,
            symbol=f"S{number:02}",
            price=100.0 + number,
            prediction=(100.0 + number) * (1.002 if number == 7 else 1.0 - 0.00001 * number),
            degraded=["lstm: too old"] if number == 30 else [],
        )
        made.take_answers([record], 1)
    made.take(
        "retrain_events", retrain(1, "failed", versions={}, symbols=("S31",), reasons=("S31: no",))
    )
    return made


def page(model: ReadModel, **asked: Any) -> dict[str, Any]:
    return SymbolTable(model, FakeClock().monotonic).page(TablePage(**asked))


def names(found: dict[str, Any]) -> list[str]:
    return [row["symbol"] for row in found["rows"]]


def test_one_page_is_given_and_how_many_there_are(model: ReadModel) -> None:
    found = page(model, number=1)
    assert names(found) == [f"S{n:02}" for n in range(ROWS_A_PAGE, 2 * ROWS_A_PAGE)]
    assert (found["matches"], found["symbols"], found["page"], found["pages"]) == (60, 60, 1, 3)
    assert names(page(model, number=99)) == [f"S{n}" for n in range(50, 60)]


def test_it_is_sorted_by_what_is_asked(model: ReadModel) -> None:
    assert names(page(model, sort="move", descending=True))[0] == "S07"
    assert names(page(model, sort="price", descending=True))[0] == "S59"
    assert names(page(model, sort="move"))[0] == "S59"


def test_what_is_not_known_stands_last_either_way(model: ReadModel) -> None:
    assert page(model)["rows"][0]["skill"] is None
    for descending in (False, True):
        assert len(names(page(model, sort="skill", descending=descending))) == ROWS_A_PAGE


def test_it_is_filtered_by_name_in_any_case_and_by_problems(model: ReadModel) -> None:
    assert names(page(model, contains="s1")) == [f"S1{n}" for n in range(10)]
    assert names(page(model, contains="nothing")) == []
    found = page(model, only_problems=True)
    assert names(found) == ["S30", "S31"]
    assert [row["level"] for row in found["rows"]] == ["warn", "bad"]
    assert [row["state"] for row in found["rows"]] == ["lstm: too old", "last training failed"]


def test_rows_are_made_anew_after_a_second(model: ReadModel) -> None:
    clock = FakeClock()
    table = SymbolTable(model, clock.monotonic)
    first = table.page(TablePage(contains="S00"))["rows"][0]["price"]
    model.take_answers([prediction(START_MS + 99, symbol="S00", price=7.0)], 1)
    assert table.page(TablePage(contains="S00"))["rows"][0]["price"] == first
    clock.passed_s = 1.0
    assert table.page(TablePage(contains="S00"))["rows"][0]["price"] == 7.0
