"""Files that people brought, beside the checkout: each is read right by `feed` and `train`."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream_app.commands.feed import feed
from stream_app.commands.train import train
from stream_app.errors import TrainingError
from tests.unit.feed.test_command import producer
from tests.unit.feed.test_no_future import CASES
from tests.unit.feed.test_producer import FakeProducer

__all__ = ("producer",)  # a fixture


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file, the options that it needs, and what is right."""

    name: str
    options: tuple[str, ...] = ("--symbol", "X")
    kind: str = "bars"
    spacing_s: float | None
    rows: int
    first: str
    last: str
    price: float
    size: float | None
    symbol: str = "X"

    @property
    def path(self) -> Path:
        return CASES / self.name


GIVEN = [
    Case(name="klines-12-columns-no-header.csv", spacing_s=60, rows=10,
         first="2021-11-27T00:00:00Z", last="2021-11-27T00:09:00Z", price=2.854e-05, size=36304.2),
    Case(name="klines-milliseconds-then-microseconds.csv", spacing_s=3600, rows=50,
         first="2024-12-01T00:00:00Z", last="2025-01-02T00:00:00Z", price=96340.6, size=532.95388),
    Case(name="ohlcvt-7-columns-no-header-daily.csv", spacing_s=86_400, rows=40,
         first="2013-10-06T00:00:00Z", last="2013-11-16T00:00:00Z", price=122.0, size=0.1),
    Case(name="trades-3-columns-no-header-equal-rows.csv", kind="ticks", spacing_s=None, rows=120,
         first="2023-01-02T00:48:56Z", last="2023-01-02T09:29:06Z", price=90.07, size=1.1),
    Case(name="remark-line-above-header-newest-first.csv", options=(), spacing_s=86_400, rows=38,
         first="2020-10-13T00:00:00Z", last="2020-11-19T00:00:00Z", price=11427.98, size=5097.96,
         symbol="BTCUSD"),
    Case(name="compact-dates-no-header-est.csv", spacing_s=60, rows=60,
         first="2025-03-02T22:00:00Z", last="2025-03-02T22:59:00Z", price=1.04031, size=0.0),
    Case(name="three-header-lines.csv", options=(), spacing_s=3600, rows=57,
         first="2023-07-17T13:30:00Z", last="2023-07-27T13:30:00Z", price=287.02520751953125,
         size=41360733.0, symbol="TSLA"),
    Case(name="nameless-index.csv", spacing_s=3600, rows=59,
         first="2017-04-19T09:00:00Z", last="2017-04-21T19:00:00Z", price=1.07219, size=1413.0),
    Case(name="date-and-time-apart.csv", spacing_s=300, rows=59,
         options=("--symbol", "X", "--time-zone", "Europe/Berlin"),
         first="2006-01-02T08:05:00Z", last="2006-01-02T12:55:00Z", price=3582.99, size=0.0),
    Case(name="quotes-bid-ask.csv", kind="quotes", spacing_s=None, rows=29,
         options=("--symbol", "X", "--column", "price=bid+ask"),
         first="2013-01-01T22:00:00.295Z", last="", price=86.6915, size=None),
    Case(name="bad-rows.csv", options=("--symbol", "X", "--bad-rows", "skip"), spacing_s=60,
         rows=555, first="2012-02-01T00:00:00Z", last="", price=1.49965, size=None),
    *(
        Case(name=f"random-walk-{name}.csv.gz", spacing_s=spacing, rows=2500, first=first,
             last="", price=price, size=None)
        for name, spacing, first, price in (
            ("2m", 120, "2023-11-14T22:20:00Z", 99.69822),
            ("10m", 600, "2023-11-14T22:20:00Z", 99.87025),
            ("15m", 900, "2023-11-14T22:15:00Z", 99.75631),
        )
    ),
]  # fmt: skip
EVERY = pytest.mark.parametrize("case", GIVEN, ids=lambda case: case.name)


def test_every_file_that_is_there_is_read() -> None:
    if not CASES.exists():
        pytest.skip(f"no {CASES.name} beside the checkout")
    there = {path.name for path in CASES.iterdir()} - {"README.md"}
    assert there == {case.name for case in GIVEN}


def check(case: Case, found: dict[str, Any]) -> None:
    assert list(found) == [
        *("kind", "spacing_s", "rows", "skipped", "from", "to", "columns", "unused"),
        *("time_format", "time_zone", "symbols", "first", "last"),
    ]
    assert (found["kind"], found["rows"], found["from"]) == (case.kind, case.rows, case.first)
    assert case.spacing_s is None or found["spacing_s"] == case.spacing_s
    assert not case.last or found["to"] == case.last
    assert found["symbols"] == [case.symbol]
    assert found["first"]["price"] == pytest.approx(case.price, rel=1e-12)
    assert found["first"]["size"] == case.size


@EVERY
def test_feed_reads_it_right(case: Case, producer: FakeProducer) -> None:
    if not case.path.exists():
        pytest.skip(f"no {case.name} beside the checkout")

    result = CliRunner().invoke(
        feed, [str(case.path), *case.options, "--json", "--coarse"], catch_exceptions=False
    )

    report = json.loads(result.stdout.splitlines()[-1])
    check(case, report["input"])
    assert report["ticks"] == case.rows * (4 if case.kind == "bars" else 1)
    assert {key for key, _ in producer.records} == {case.symbol.encode()}


@EVERY
def test_train_reads_it_right(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the training: most of these are too short to learn from, and say so."""
    if not case.path.exists():
        pytest.skip(f"no {case.name} beside the checkout")
    monkeypatch.setenv("BAR_SECONDS", "86400")
    monkeypatch.setenv("TRAINING_WINDOW_DAYS", "3650")

    result = CliRunner().invoke(train, [str(case.path), *case.options, "--json"])

    assert isinstance(result.exception, TrainingError)
    assert "leave no row to learn from" in str(result.exception)
    assert f"{case.rows:,} {case.kind}" in result.stderr
    assert f"symbol {case.symbol} from" in result.stderr
    assert case.first in result.stderr


def test_the_unit_changes_where_the_year_does(producer: FakeProducer) -> None:
    path = CASES / "klines-milliseconds-then-microseconds.csv"
    if not path.exists():
        pytest.skip(f"no {path.name} beside the checkout")

    CliRunner().invoke(feed, [str(path), "--coarse"], catch_exceptions=False)

    opened = [json.loads(value)["ts"] for _, value in producer.records][::4]
    hour = 3_600_000
    assert opened[:25] == [1_733_011_200_000 + nth * hour for nth in range(25)]
    assert opened[25:] == [1_735_689_600_000 + nth * hour for nth in range(25)]


def test_the_volumes_of_the_trades_sum_as_the_files_do(producer: FakeProducer) -> None:
    path = CASES / "trades-3-columns-no-header-equal-rows.csv"
    if not path.exists():
        pytest.skip(f"no {path.name} beside the checkout")
    with path.open() as text:
        total = math.fsum(float(row[2]) for row in csv.reader(text))

    CliRunner().invoke(feed, [str(path)], catch_exceptions=False)

    sent = [value for _, value in producer.records]
    assert len(set(sent)) == 120  # so that the worker takes none for a repeat
    assert math.fsum(json.loads(value)["size"] for value in sent) == pytest.approx(total)


def test_bad_rows_are_refused_once_with_their_counts(producer: FakeProducer) -> None:
    path = CASES / "bad-rows.csv"
    if not path.exists():
        pytest.skip(f"no {path.name} beside the checkout")

    refused = CliRunner().invoke(feed, [str(path)])
    fed = CliRunner().invoke(feed, [str(path), "--bad-rows", "skip", "--json"])

    message = str(refused.exception)
    assert "\n" not in message
    for found in (
        "line 9: close is missing (15 such rows)",
        "line 19: open, high, low, close are 1.49964, 1.49956, 1.4999, 1.49986 (15 such rows)",
        "line 30: a second bar of its symbol at its time (15 such rows)",
        "line 40: close '-1' (15 such rows)",
    ):
        assert found in message
    assert json.loads(fed.stdout)["input"]["skipped"] == {
        "missing_price": 15,
        "bad_price": 15,
        "inconsistent_bar": 15,
        "repeated_bar": 15,
    }
