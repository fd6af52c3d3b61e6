"""Files that could be read in a wrong way without a sign of it: refused in one line, or said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_app.cli import main
from stream_app.errors import SourceError
from stream_app.feed.files import read_ticks
from stream_app.feed.layout import Layout, load_layout
from stream_app.feed.numbers import middle
from tests.unit.feed.test_files import T0, parquet, written

MS = T0 * 1000
NOTHING_LEFT = "--bad-rows skip"


def refused(path: Path, content: str | bytes, **how: object) -> str:
    with pytest.raises(SourceError) as refusal:
        read_ticks(written(path, content), **how)  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def of_times(*times: str) -> str:
    return "time,price\n" + "".join(f"{time},{5 + nth}\n" for nth, time in enumerate(times))


@pytest.mark.parametrize(
    ("form", "step_ms", "seconds"),
    [
        ("{:.6E}", 60_000, "1000 s"),
        ("{:.5e}", 60_000, "10000 s"),
        ("{:.2E}", 60_000, "1e+07 s"),
        ("{:.8E}", 1_000, "10 s"),
    ],
)
def test_times_that_a_spreadsheet_rounded_are_refused(
    tmp_path: Path, form: str, step_ms: int, seconds: str
) -> None:
    times = [form.format(MS + nth * step_ms) for nth in range(300)]

    message = refused(tmp_path / "a.csv", of_times(*times))

    assert f"a spreadsheet has rounded these to {seconds})" in message
    assert "export them again with all digits" in message
    assert NOTHING_LEFT not in message


def test_rounded_numbers_are_refused_in_typed_files_too(tmp_path: Path) -> None:
    times = [float(f"{MS + nth * 60_000:.5e}") for nth in range(600)]
    content = parquet(time=times, price=[5.0] * 600)

    assert "rounded these to 1000 s" in refused(tmp_path / "a.parquet", content)


@pytest.mark.parametrize(
    "times",
    [
        [f"{MS + nth * 60_000:.12E}" for nth in range(300)],
        [f"{float(MS + nth * 86_400_000)!r}" for nth in range(9)],
        [f"{T0 * 1e9 + nth * 864e11!r}" for nth in range(30)],
        [str(MS + 4_800_000)] * 50,
    ],
    ids=["all digits", "floats", "nanoseconds of days", "one moment"],
)
def test_times_in_all_their_digits_are_read(tmp_path: Path, times: list[str]) -> None:
    rows = of_times(*times).replace("time,price\n", "time,open,high,low,close\n")
    rows = "\n".join(
        line if number == 0 else f"{line.split(',')[0]},5,5,5,5"
        for number, line in enumerate(rows.splitlines())
    )
    is_bars = len(set(times)) == len(times) > 1
    path = written(tmp_path / "a.csv", rows + "\n" if is_bars else of_times(*times))

    assert read_ticks(path).understood.first.ts == round(float(times[0])) // (
        10**6 if float(times[0]) > 1e15 else 1
    )


@pytest.mark.parametrize(
    "content",
    [
        "time;price\n" + "".join(f"{T0 + n};{('999', '1.001')[n % 2]}\n" for n in range(20)),
        "time,price\n" + "".join(f"{T0 + n},{('1.111', '990')[n % 2]}\n" for n in range(20)),
        "time,price\n" + "".join(f"{T0 + n},{990 + n}\n" for n in range(10)) + f"{T0 + 10},1.000\n",
    ],
)
def test_a_point_that_may_be_of_thousands_is_refused(tmp_path: Path, content: str) -> None:
    message = refused(tmp_path / "a.csv", content)

    assert "could have a decimal point or one of thousands" in message
    assert "--decimal , or --decimal ." in message
    comma = read_ticks(tmp_path / "a.csv", layout=Layout(decimal=","))
    assert all(900 < tick.price < 1200 for tick in comma.ticks)
    assert read_ticks(tmp_path / "a.csv", layout=Layout(decimal=".")).count


@pytest.mark.parametrize(
    "content",
    [
        of_times(*map(str, range(T0, T0 + 3))),
        f"time,price\n{T0},1.001\n{T0 + 1},1.002\n{T0 + 2},0.999\n{T0 + 3},1\n",
        f"time,symbol,price\n{T0},A,999\n{T0},B,1.001\n{T0 + 1},A,998\n{T0 + 1},B,1.002\n",
        f"time,price\n{T0},1.2345\n{T0 + 1},1.001\n{T0 + 2},999\n",
        f"time,price\n{T0},0.999\n{T0 + 1},999\n",
    ],
    ids=["whole", "around one", "two symbols", "a point that is sure", "no thousand begins with 0"],
)
def test_ordinary_points_are_read(tmp_path: Path, content: str) -> None:
    assert read_ticks(written(tmp_path / "a.csv", content)).count


BAD_FORMATS = ["%Q", "%", "%d%d", "%Y-%m-%d %", "%G %V", "day", ""]


@pytest.mark.parametrize("given", BAD_FORMATS)
@pytest.mark.parametrize(
    "command", [["feed"], ["train"], ["backtest"]], ids=["feed", "train", "backtest"]
)
def test_a_time_format_that_is_none_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    given: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "a.csv", of_times("04.03.2024", "05.03.2024"))

    with pytest.raises(SystemExit) as end:
        main([*command, str(path), "--time-format", given])

    told = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert len(told) == 1
    assert f"--time-format is {given!r} (" in told[0]
    assert "looked for the letters of strptime" in told[0]


@pytest.mark.parametrize("given", BAD_FORMATS)
def test_a_layout_with_such_a_format_is_refused(tmp_path: Path, given: str) -> None:
    path = written(tmp_path / "mine.toml", f'time_format = "{given}"\n')

    with pytest.raises(SourceError, match=r"layout .*mine.toml: time_format is .*see docs"):
        load_layout(str(path))


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (of_times("soon", "later"), "name another column with --column time=NAME"),
        (f"time,price\n{T0},x\n", "--column price=NAME"),
        (f"time,price\n{T0},5,6\n{T0},5,7\n", "put quotes around values"),
        (f"time,price\nsoon,5\n{T0},x\n", "--column time=NAME, or name another column with"),
    ],
)
def test_no_row_is_left_out_where_none_would_remain(
    tmp_path: Path, content: str, remedy: str
) -> None:
    message = refused(tmp_path / "a.csv", content, skip_bad_rows=True)

    assert NOTHING_LEFT not in message
    assert remedy in message
    assert refused(tmp_path / "a.csv", content) == message


@pytest.mark.parametrize("old", ["1995-03-04 00:00:00", "794275200"])
def test_times_before_2000_are_told_their_bounds(tmp_path: Path, old: str) -> None:
    message = refused(tmp_path / "a.csv", of_times(old, old))

    assert "times must lie in 2000 to 2100" in message
    assert NOTHING_LEFT not in message
    some = refused(tmp_path / "a.csv", of_times(old, "2024-03-04"))
    assert "2000 to 2100" in some
    assert NOTHING_LEFT in some


@pytest.mark.parametrize("zone", [" UTC", " GMT", "UTC"])
def test_utc_by_name_is_read(tmp_path: Path, zone: str) -> None:
    times = [
        f"2022-01-01 00:00:00{zone}",
        f"2022-01-01T00:01:00.5{zone}",
        f"2022-01-01 00:02{zone}",
    ]

    file = read_ticks(
        written(tmp_path / "a.csv", of_times(*times)), layout=Layout(time_zone="-05:00")
    )

    assert [tick.ts for tick in file.ticks] == [MS, MS + 60_500, MS + 120_000]
    assert file.understood.time_zone == "UTC"


def test_another_format_with_utc_behind_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"

    message = refused(path, of_times('"Mon, 04 Mar 2024 00:00:00 GMT"'))

    assert '--time-format "%a, %d %b %Y %H:%M:%S %Z"' in message
    layout = Layout(time_format="%a, %d %b %Y %H:%M:%S %Z")
    assert read_ticks(path, layout=layout).understood.first.ts == 1_709_510_400_000


def test_the_middle_has_one_digit_more_than_the_quotes(tmp_path: Path) -> None:
    content = f"time,bid,ask\n{T0},86.655,86.728\n{T0 + 1},86.657,86.729\n{T0 + 2},86.6,86.7\n"

    file = read_ticks(written(tmp_path / "a.csv", content), columns={"price": "bid+ask"})

    assert [tick.price for tick in file.ticks] == [86.6915, 86.693, 86.65]
    third = np.array([1 / 3, 1e300, np.nan])
    assert middle(third, third).tolist()[:2] == third.tolist()[:2]
