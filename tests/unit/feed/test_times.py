from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.feed.time_formats import formats_of
from stream_app.feed.times import read_times

T = 1_640_995_200_123  # 2022-01-01T00:00:00.123Z
SECOND = T // 1000 * 1000


def column(*values: Any) -> Any:
    return pa.chunked_array([list(values)])


def epoch_ms(column: Any) -> Any:
    times = read_times(column)
    assert times.good.all()
    return times.ts


@pytest.mark.parametrize(
    ("value", "ts"),
    [
        (T // 1000, SECOND),
        (T, T),
        (T * 1000 + 999, T),
        (T * 1_000_000 + 999_999, T),
        (T / 1000, T),
        (str(T // 1000), SECOND),
        (str(T), T),
        (str(T * 1_000_000 + 999_999), T),
        ("1640995200.123", T),
        ("2022-01-01T00:00:00.123Z", T),
        ("2022-01-01 00:00:00.123999", T),
        ("2022-01-01T02:00:00.123+02:00", T),
        ("2021-12-31T19:00:00.123-05:00", T),
        ("2022-01-01", SECOND),
        (date(2022, 1, 1), SECOND),
        (datetime(2022, 1, 1), SECOND),  # noqa: DTZ001 - a file's naive time is UTC
        (datetime(2022, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), SECOND),
    ],
)
def test_a_time_is_understood(value: Any, ts: int) -> None:
    assert epoch_ms(column(value)).tolist() == [ts]


def test_offsets_may_differ_from_row_to_row() -> None:
    times = column("2022-01-01T00:00:00.123", "2022-01-01T01:00:00.123+01:00")

    assert epoch_ms(times).tolist() == [T, T]


@pytest.mark.parametrize(
    ("values", "row", "wanted"),
    [
        (["0", "1", "2"], 0, "epoch s, ms, us or ns, or ISO 8601"),
        (["20220101093000"], 0, "epoch s, ms, us or ns, or ISO 8601"),
        (["x", "y"], 0, "epoch s, ms, us or ns, or ISO 8601"),
        ([None, None], 0, "epoch s, ms, us or ns, or ISO 8601"),
        (["1640995200", "soon", "1640995202"], 1, "epoch s of"),
        (["1640995200", None, "1640995202"], 1, "epoch s of"),
        (["1640995200", "inf", "1640995202"], 1, "epoch s of"),
        (["1640995200", "9223372036854775807", "1640995202"], 1, "epoch s of"),
        (["1640995200", "99999999999999999999", "1640995202"], 1, "epoch s of"),
        (["2022-01-01", "01/02/2022", "2022-01-03"], 1, "ISO 8601"),
        (["2022-01-01", None, "2022-01-03"], 1, "ISO 8601"),
        (["2022-01-01", "1640995200", "2022-01-03"], 1, "ISO 8601"),
        (["2022-01-01", "1970-01-01", "2022-01-03"], 1, "2000 to 2100"),
        ([datetime(2022, 1, 1, tzinfo=UTC), None], 1, "2000 to 2100"),
        ([1640995200.5, float("nan")], 1, "epoch s of"),
    ],
)
def test_the_row_that_is_no_time_is_named(values: list[Any], row: int, wanted: str) -> None:
    times = read_times(column(*values))

    assert int(np.argmin(times.good)) == row
    assert wanted in times.wanted(row)


@given(
    st.lists(st.integers(min_value=946_684_800, max_value=4_102_444_799), min_size=1, max_size=20)
)
@settings(deadline=None)
def test_every_unit_gives_the_same_event_times(seconds: list[int]) -> None:
    iso = [datetime.fromtimestamp(second, UTC).isoformat() for second in seconds]
    expected = [second * 1000 for second in seconds]

    for unit in (1, 1000, 1_000_000, 1_000_000_000):
        numbers = [second * unit for second in seconds]
        assert epoch_ms(pa.chunked_array([np.array(numbers)])).tolist() == expected
        assert epoch_ms(column(*map(str, numbers))).tolist() == expected
    assert epoch_ms(column(*iso)).tolist() == expected


@pytest.mark.parametrize("smaller", [1, 1000, 1_000_000])
def test_the_unit_of_an_epoch_may_change_in_the_middle_of_a_file(smaller: int) -> None:
    seconds = [SECOND // 1000 + nth for nth in range(6)]
    numbers = [each * smaller for each in seconds[:3]]
    numbers += [each * smaller * 1000 for each in seconds[3:]]

    for values in (column(*numbers), column(*map(str, numbers))):
        times = read_times(values)
        assert times.ts.tolist() == [each * 1000 for each in seconds]
    units = {1: "epoch s, epoch ms", 1000: "epoch ms, epoch us", 1_000_000: "epoch us, epoch ns"}
    assert (times.format, times.zone) == (units[smaller], "UTC")


@pytest.mark.parametrize(
    ("value", "time_format", "ts"),
    [
        ("02.03.2023 09:30", "%d.%m.%Y %H:%M", "2023-03-02T09:30"),
        ("02.03.2023 09:30", "%m.%d.%Y %H:%M", "2023-02-03T09:30"),
        ("20230302 093000250", "%Y%m%d %H%M%S%f", "2023-03-02T09:30:00.250"),
        ("20230302", "%Y%m%d", "2023-03-02T00:00"),
        (20230302, "%Y%m%d", "2023-03-02T00:00"),
        ("3/2/23 1:05 PM", "%m/%d/%y %I:%M %p", "2023-03-02T13:05"),
        ("02.03.2023 09:30 GMT+0200", "%d.%m.%Y %H:%M GMT%z", "2023-03-02T07:30"),
    ],
)
def test_a_format_says_what_is_what(value: Any, time_format: str, ts: str) -> None:
    times = read_times(column(value), time_format=time_format)

    assert times.ts.tolist() == [round(datetime.fromisoformat(ts + "Z").timestamp() * 1000)]
    assert times.format == time_format


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("02.03.2023", ['"%d.%m.%Y"', '"%m.%d.%Y"', "not guessed"]),
        ("02/03/2023 09:30:00", ['"%d/%m/%Y %H:%M:%S"', '"%m/%d/%Y %H:%M:%S"', "not guessed"]),
        ("31.12.2023 9:30 PM", ['"%d.%m.%Y %I:%M %p"']),
        ("20230302093000", ['"%Y%m%d%H%M%S"']),
        ("2 Mar 2023", ['"%d %b %Y"']),
        (
            "24-03-04 10:00",
            ['"%d-%m-%y %H:%M"', '"%y-%m-%d %H:%M"', "day, month and year are not guessed"],
        ),
        ("31/12/23", ['"%d/%m/%y"']),
        ("03/02/23", ['"%d/%m/%y"', '"%m/%d/%y"', '"%y/%m/%d"']),
    ],
)
def test_another_format_is_asked_for_with_what_it_could_be(value: str, options: list[str]) -> None:
    times = read_times(column(value, value))

    assert not times.good.any()
    assert all(option in times.wanted(0) for option in options)
    for time_format in formats_of(value):
        assert read_times(column(value), time_format=time_format).good.all()


@pytest.mark.parametrize("text", ["2024-03-04 10:00 EST", "04.03.2024 10:00:00 CEST"])
def test_the_letters_of_a_zone_are_not_guessed(text: str) -> None:
    assert "give --time-zone" in read_times(column(text, text)).wanted(0)
    assert "--time-zone" not in read_times(column("04.03.2024 10:00 PM")).wanted(0)


@pytest.mark.parametrize(
    ("zone", "ts"),
    [
        ("America/New_York", "2023-07-02T13:30Z"),
        ("-05:00", "2023-07-02T14:30Z"),
        ("UTC-5", "2023-07-02T14:30Z"),
        ("Asia/Kolkata", "2023-07-02T04:00Z"),
        ("UTC", "2023-07-02T09:30Z"),
    ],
)
def test_times_without_a_zone_are_of_the_one_given(zone: str, ts: str) -> None:
    naive = column("2023-07-02 09:30", "2023-07-02T09:30:00")
    expected = round(datetime.fromisoformat(ts).timestamp() * 1000)

    times = read_times(naive, time_zone=zone)
    typed = read_times(column(datetime(2023, 7, 2, 9, 30)), time_zone=zone)  # noqa: DTZ001

    assert times.ts.tolist() == [expected] * 2
    assert typed.ts.tolist() == [expected]
    assert times.zone == typed.zone == zone


def test_a_written_offset_goes_before_the_zone() -> None:
    times = read_times(column("2022-01-01T00:00Z", "2022-01-01"), time_zone="-05:00")

    assert times.ts.tolist() == [SECOND, SECOND + 5 * 3_600_000]
    assert times.zone == "UTC, else -05:00"
    assert read_times(column("2022-01-01T00:00Z", "2022-01-01T00:00+00:00")).zone == "UTC"
    assert read_times(column("2022-01-01T00:00Z", "2022-01-01T00:00+01:00")).zone == "as written"
    assert read_times(column("2022-01-01")).zone == "UTC (assumed)"


NEW_YORK = "America/New_York"
AUTUMN = ["00:30", "01:10", "01:50", "01:10", "01:50", "02:10"]


def test_the_hour_that_comes_twice_is_decided_by_the_order_of_the_rows() -> None:
    local = [f"2021-11-07 {clock}" for clock in AUTUMN]
    expected = ["04:30", "05:10", "05:50", "06:10", "06:50", "07:10"]
    utc = [
        round(datetime.fromisoformat(f"2021-11-07T{clock}Z").timestamp() * 1000)
        for clock in expected
    ]

    assert read_times(column(*local), time_zone=NEW_YORK).ts.tolist() == utc
    assert read_times(column(*local[::-1]), time_zone=NEW_YORK).ts.tolist() == utc[::-1]


def test_hourly_bars_of_the_hour_that_comes_twice_are_an_hour_apart() -> None:
    local = [f"2021-11-07 {clock}" for clock in ("00:00", "01:00", "01:00", "02:00")]

    bars = read_times(column(*local), time_zone=NEW_YORK, each_once=True)
    trades = read_times(column(*local), time_zone=NEW_YORK)

    assert np.diff(bars.ts).tolist() == [3_600_000] * 3
    assert trades.good.tolist() == [True, False, False, True]  # two trades may share a time


@pytest.mark.parametrize("local", ["2021-11-07 01:30", "2021-03-14 02:30"])
def test_a_local_time_that_could_be_two_or_none_is_named(local: str) -> None:
    times = read_times(column("2021-01-01 00:00", local, "2021-12-01 00:00"), time_zone=NEW_YORK)

    assert times.good.tolist() == [True, False, True]
    assert "summer time makes it ambiguous or impossible" in times.wanted(1)
