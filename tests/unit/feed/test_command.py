from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from stream_app.cli import cli, main
from stream_app.commands import feed as command
from stream_app.errors import SourceError
from stream_app.feed.future import beyond_the_clock
from stream_app.feed.layout import known_layouts
from stream_app.feed.pace import Speed
from stream_app.feed.synthetic import synthetic_ticks
from stream_app.messages.ticks import encode_tick
from tests.unit.feed.test_producer import FakeProducer

ROOT = Path(__file__).parents[3]
BARS = """time,open,high,low,close,volume
2022-01-01T00:00:00Z,10,12,9,11,4
2022-01-01T00:01:00Z,11,12,9,10,8
"""


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeProducer:
    fake = FakeProducer(topic="market.ticks.v1")

    @contextlib.asynccontextmanager
    async def connected(settings: Any, **_: Any) -> AsyncIterator[FakeProducer]:
        yield fake

    async def nothing(*_: Any, **__: Any) -> dict[str, int]:
        return {}

    monkeypatch.setattr(command, "connected_producer", connected)
    monkeypatch.setattr(command, "newest_on_topic", nothing)
    monkeypatch.setenv("TOPICS_FILE", str(ROOT / "topics.yaml"))
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.fixture
def bars(tmp_path: Path) -> str:
    path = tmp_path / "btc.csv"
    path.write_text(BARS)
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.feed, arguments, catch_exceptions=False)


def test_a_file_is_fed_and_reported_as_json(producer: FakeProducer, bars: str) -> None:
    result = run(bars, "--symbol", "BTC-USD", "--json")

    report = json.loads(result.stdout.splitlines()[-1])
    values = [json.loads(value) for _, value in producer.records]
    assert result.exit_code == 0
    assert [value["price"] for value in values] == [10, 9, 12, 11, 11, 12, 9, 10]
    assert {key for key, _ in producer.records} == {b"BTC-USD"}
    assert report.pop("seconds") >= 0
    assert report.pop("ticks_per_second") > 0
    assert report == {
        "ticks": 8,
        "symbols": ["BTC-USD"],
        "first_ts": 1_640_995_200_000,
        "last_ts": 1_640_995_319_999,
        "input": {
            "kind": "bars",
            "spacing_s": 60.0,
            "rows": 2,
            "skipped": {},
            "from": "2022-01-01T00:00:00Z",
            "to": "2022-01-01T00:01:00Z",
            "columns": {name: name for name in ("time", "open", "high", "low", "close", "volume")},
            "unused": [],
            "time_format": "ISO 8601",
            "time_zone": "UTC",
            "symbols": ["BTC-USD"],
            "first": {"ts": 1_640_995_200_000, "price": 11.0, "size": 4.0},
            "last": {"ts": 1_640_995_260_000, "price": 10.0, "size": 8.0},
        },
    }
    assert result.stderr == (
        "feed: btc.csv: 2 bars of 60 s, 2022-01-01T00:00:00Z to 2022-01-01T00:01:00Z; "
        "symbol BTC-USD from --symbol\n"
        "feed: columns time=time, open=open, high=high, low=low, close=close, volume=volume; "
        "times are ISO 8601, zone UTC\n"
    )


def test_without_json_the_report_is_a_sentence(producer: FakeProducer, bars: str) -> None:
    result = run(bars, "--limit", "5")

    assert len(producer.records) == 5
    assert result.stdout.startswith("5 ticks of BTC sent and acknowledged in 0.")
    assert result.stdout.endswith("event time 2022-01-01T00:00:00Z to 2022-01-01T00:01:00Z\n")


def test_columns_are_mapped_and_notices_shown(producer: FakeProducer, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("when,cost\n2022-01-02,2\n2022-01-01,1\n")

    result = run(str(path), "--column", "time=when", "--column", "price=cost")

    assert [json.loads(value)["price"] for _, value in producer.records] == [1, 2]
    assert result.stderr.splitlines() == [
        "feed: a.csv: 2 ticks about 86400 s apart, 2022-01-01T00:00:00Z to 2022-01-02T00:00:00Z; "
        "symbol A from the file's name",
        "feed: columns time=when, price=cost; times are ISO 8601, zone UTC (assumed)",
        f"feed: {path}: newest row first; turned round",
        f"feed: warning: {path}: its ticks are about 86400 s apart, BAR_SECONDS is 300: most bars "
        "will be empty; if each row is a bar's close, set BAR_SECONDS to the distance of the rows",
    ]


def test_synthetic_ticks_are_those_of_the_seed(producer: FakeProducer) -> None:
    run(
        *("synthetic", "--symbol", "A", "--symbol", "B", "--ticks", "50", "--seed", "3"),
        *("--start", "2022-01-01T01:00+01:00", "--interval-ms", "250"),
    )

    expected = synthetic_ticks(
        symbols=["A", "B"], seed=3, start_ms=1_640_995_200_000, interval_ms=250.0
    )
    assert sorted(producer.records) == sorted(
        (tick.symbol.encode(), encode_tick(tick)) for tick in itertools.islice(expected, 50)
    )


def test_counted_synthetic_ticks_end_now(producer: FakeProducer) -> None:
    result = run("synthetic", "--ticks", "100", "--limit", "60", "--json")

    report = json.loads(result.stdout)
    assert report["ticks"] == 60
    assert report["symbols"] == ["SYNTHETIC"]
    assert -5000 < report["last_ts"] - time.time() * 1000 <= 0
    assert report["last_ts"] - report["first_ts"] == 59_000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_endless_ticks_cleanly(
    producer: FakeProducer, number: signal.Signals
) -> None:
    def signal_after_50() -> None:
        if len(producer.sent) == 50:
            os.kill(os.getpid(), number)

    producer.on_send = signal_after_50

    result = run("synthetic", "--speed", "1000/s", "--json")

    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["ticks"] == len(producer.records)
    assert 50 <= report["ticks"] < 500


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["synthetic", "--column", "time=t"], "--column is for files"),
        (["synthetic", "--time-zone", "UTC"], "--time-zone is for files"),
        (["synthetic", "--coarse"], "--coarse is for files"),
        (["a.csv", "--layout", "mine"], "--layout mine: no such file, and no layout of that name"),
        (["a.csv", "--time-zone", "Mars/Base"], "--time-zone is 'Mars/Base'; looked for an IANA"),
        (["a.csv", "--encoding", "morse"], "--encoding is 'morse'; looked for one that Python"),
        (["a.csv", "--names", "a,b", "--skip-lines", "-1"], "--skip-lines"),
        (["a.csv", "--ticks", "5"], "--ticks is for synthetic ticks"),
        (["a.csv", "--seed", "5"], "--seed is for synthetic ticks"),
        (["a.csv", "--start", "2022-01-01"], "--start is for synthetic ticks"),
        (["a.csv", "--interval-ms", "5"], "--interval-ms is for synthetic ticks"),
        (["a.csv", "--symbol", "A", "--symbol", "B"], "one --symbol for a file"),
        (["a.csv", "--speed", "fast"], "'fast' is no speed: looked for max"),
        (["synthetic", "--start", "soon"], "'soon' is no ISO 8601 time"),
        (["synthetic", "--start", "1970-01-01"], "'1970-01-01' is outside 2000 to 2100"),
        (["synthetic", "--limit", "0"], "--limit"),
        (["a.csv"], "a.csv: no such file; looked for CSV"),
        (["a.csv", "--column", "t=x"], "--column t=x: wanted ROLE=NAME"),
        (["synthetic", "--speed", "max"], "would lie in the future"),
        (["synthetic", "--symbol", "a b"], "--symbol 'a b': looked for"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(
    producer: FakeProducer,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    found: str,
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["feed", *arguments])

    told = capsys.readouterr()
    assert end.value.code == 2
    assert found in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not producer.sent


def test_help_shows_examples() -> None:
    result = run("--help")

    assert "  stream-app feed synthetic --symbol A --symbol B --speed 500/s\n" in result.stdout


def test_the_layouts_are_listed(producer: FakeProducer) -> None:
    result = run("--layouts")

    assert result.exit_code == 0
    listed = {line.split()[0] for line in result.stdout.splitlines()}
    assert listed == set(known_layouts())
    assert "Kraken OHLCVT" in result.stdout


def test_on_a_terminal_the_layouts_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    lines = [click.unstyle(line) for line in run("--layouts").stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    assert set(known_layouts()) <= {word for line in lines for word in line.split()[:1]}


HOURLY = "time,open,high,low,close\n" + "".join(
    f"{1_640_995_200 + 3600 * nth},5,5,5,5\n" for nth in range(3)
)


def test_bars_that_are_too_long_are_refused_or_sent_with_a_warning(
    producer: FakeProducer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.csv").write_text(HOURLY)

    with pytest.raises(
        SourceError,
        match=r"its bars last 3600 s, BAR_SECONDS is 300: set BAR_SECONDS=3600 and "
        r"TRAINING_WINDOW_DAYS=360 .*HORIZON_BY=bars.*give --coarse",
    ):
        run("x.csv")
    assert not producer.records
    warned = run("x.csv", "--coarse")
    assert "feed: warning: x.csv: its bars last 3600 s" in warned.stderr
    assert len(producer.records) == 12
    monkeypatch.setenv("BAR_SECONDS", "3600")
    monkeypatch.setenv("TRAINING_WINDOW_DAYS", "360")
    assert "warning" not in run("x.csv").stderr


@pytest.mark.parametrize(
    "command",
    [
        ["train", "x.csv"],
        ["bench", "lstm", "--data", "x.csv"],
        ["demo", "--history", "x.csv"],
    ],
)
def test_every_command_names_bars_that_are_too_long_before_it_starts(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text(HOURLY)

    with pytest.raises(SourceError, match="BAR_SECONDS is 300: set BAR_SECONDS=3600"):
        CliRunner().invoke(cli, command, catch_exceptions=False)


def test_ticks_close_enough_are_no_reason_to_warn(producer: FakeProducer, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("time,price\n1640995200,5\n1640995500,5\n1640995800,5\n")

    assert "warning" not in run("x.csv").stderr


@pytest.mark.parametrize("command", [["bench", "lstm"], ["demo"]])
def test_options_for_a_file_need_one(command: list[str]) -> None:
    result = CliRunner().invoke(cli, [*command, "--time-zone", "UTC"])

    assert result.exit_code == 2
    assert "--time-zone is for a file; name it with --" in result.stderr


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("BTCUSDT-1m-2024-01.csv", "BTCUSDT-1M"),
        ("BTCUSDT-trades-2024-01-05.csv", "BTCUSDT-TRADES"),
        ("DAT_ASCII_EURUSD_M1_2023.csv", "DAT_ASCII_EURUSD_M1"),
        ("20230105-ticks.csv", "TICKS"),
        ("2023.csv", "NAME"),
    ],
)
def test_a_symbol_with_a_date_in_it_is_asked_about(
    producer: FakeProducer, tmp_path: Path, name: str, suggested: str
) -> None:
    (tmp_path / name).write_text(BARS)

    with pytest.raises(SourceError, match=rf"name has a date.*--symbol {suggested},"):
        run(name)
    assert not producer.records
    assert run(name, "--symbol", "BTC").exit_code == 0


@pytest.mark.parametrize("name", ["RUSSELL2000.csv", "SPX500.csv", "BTC-USD.csv", "X1925A.csv"])
def test_a_number_in_a_name_is_no_date(producer: FakeProducer, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(BARS)

    assert run(name).exit_code == 0


def test_ticks_behind_those_of_the_topic_are_warned_of(
    producer: FakeProducer, bars: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def newest(*_: Any, **__: Any) -> dict[str, int]:
        return {"BTC": 1_640_995_300_000, "ETH": 5}

    monkeypatch.setattr(command, "newest_on_topic", newest)

    assert (
        "feed: warning: BTC begins at 2022-01-01T00:00:00Z, behind the 2022-01-01T00:01:40Z that "
        "the topic has" in run(bars).stderr
    )
    assert "warning" not in run(bars, "--symbol", "ETH").stderr


def test_several_files_and_a_layout_of_ones_own(producer: FakeProducer, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'names = ["day", "clock", "price"]\ntime_format = "%d.%m.%Y %H:%M"\n'
        'time_zone = "Europe/Berlin"\ncolumns = { time = "day+clock" }\n'
    )
    (tmp_path / "b.csv").write_text("02.03.2023,10:01,8\n")
    (tmp_path / "a.csv").write_text("02.03.2023,10:00,7\n")

    run("b.csv", "a.csv", "--symbol", "X", "--layout", "mine.toml")

    assert [json.loads(value) for _, value in producer.records] == [
        {"symbol": "X", "price": 7.0, "ts": 1_677_747_600_000},
        {"symbol": "X", "price": 8.0, "ts": 1_677_747_660_000},
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("names = 5\n", "layout mine.toml: names: "),
        ("name = ['a']\n", "layout mine.toml: name: "),
        ("= 5\n", "layout mine.toml: not TOML"),
        ("time_zone = 'Mars'\n", "time_zone is 'Mars'"),
        ("columns = { tiem = 'x' }\n", "columns has 'tiem'"),
        ("delimiter = 'ab'\n", "delimiter is 'ab'"),
    ],
)
def test_a_layout_that_is_none_is_refused(
    producer: FakeProducer, bars: str, tmp_path: Path, text: str, found: str
) -> None:
    (tmp_path / "mine.toml").write_text(text)

    with pytest.raises(SourceError) as refusal:
        run(bars, "--layout", "mine.toml")

    assert found in str(refusal.value)
    assert "\n" not in str(refusal.value)


FUTURE = """time,price
2090-01-01T00:00:00Z,5
2090-01-02T00:00:00Z,6
"""


def test_a_file_of_the_future_is_refused(producer: FakeProducer, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(FUTURE)

    with pytest.raises(SourceError) as refusal:
        run("a.csv")

    message = str(refusal.value)
    assert message.startswith("a.csv: all its ticks lie more than MAX_FUTURE_SECONDS=300 after")
    assert "they end at 2090-01-02T00:00:00Z" in message
    assert "--time-zone" in message
    assert not producer.records


def test_a_file_that_is_partly_of_the_future_is_warned_of(
    producer: FakeProducer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text(FUTURE.replace("2090-01-01", "2020-01-01"))

    result = run("a.csv")

    assert "feed: warning: a.csv: from 2090-01-02T00:00:00Z on, ticks lie more" in result.stderr
    assert len(producer.records) == 2
    assert "future" not in run("a.csv", "--limit", "1").stderr
    monkeypatch.setenv("MAX_FUTURE_SECONDS", "1e10")
    assert "future" not in run("a.csv").stderr


def test_ticks_that_are_sent_late_enough_are_not_of_the_future() -> None:
    now, day = 1_640_995_200_000, np.arange(1, 25) * 3_600_000

    def told(speed: str, ahead_s: float = 3600.0) -> str | None:
        return beyond_the_clock(
            "a",
            now + day,
            np.arange(24),
            speed=Speed.parse(speed),
            now_ms=now,
            max_future_seconds=ahead_s,
        )

    assert "from 2022-01-01T02:00:00Z on" in (told("max") or "")
    assert told("1x") is None
    assert "from 2022-01-01T03:00:00Z on" in (told("2x", 5400.0) or "")
    assert told("1/s", 86_400) is None
    assert "on, ticks lie" in (told("1/s", 86_000) or "")


def test_synthetic_ticks_of_the_future_are_refused(producer: FakeProducer) -> None:
    with pytest.raises(SourceError, match=r"^synthetic: all its ticks lie"):
        run("synthetic", "--ticks", "5", "--start", "2090-01-01T00:00Z")
    partly = run("synthetic", "--ticks", "5000", "--start", "2020-01-01T00:00Z")
    assert "future" not in partly.stderr
