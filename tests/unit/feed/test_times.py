from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.feed.times import BadTimeError, epoch_ms

T = 1_640_995_200_123  # 2022-01-01T00:00:00.123Z
SECOND = T // 1000 * 1000


def column(*values: Any) -> Any:
    return pa.chunked_array([list(values)])


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
        (["1640995200", "1640995201", "1640995202000"], 2, "epoch s of"),
        (["1640995200000", "1640995201000", "1640995202"], 2, "epoch ms of"),
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
    with pytest.raises(BadTimeError) as refusal:
        epoch_ms(column(*values))

    assert refusal.value.row == row
    assert wanted in refusal.value.wanted


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
