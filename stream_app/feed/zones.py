"""Time zones by name, and local times as UTC."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?([0-5]\d))?")


def zone_of(name: str) -> tzinfo:
    """A zone by its IANA name, or a fixed offset from UTC.

    >>> zone_of("-05:00")
    datetime.timezone(datetime.timedelta(days=-1, seconds=68400))
    >>> zone_of("UTC+5:30").utcoffset(None)
    datetime.timedelta(seconds=19800)
    >>> zone_of("America/New_York").key
    'America/New_York'

    Raises:
        ValueError: there is no such zone.
    """
    if match := _OFFSET.fullmatch(name.strip()):
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        if minutes < 24 * 60:
            return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"time_zone is {name!r}; looked for an IANA name such as America/New_York, or an "
            "offset from UTC such as -05:00"
        ) from None


def to_utc(local: Any, zone: tzinfo, *, each_once: bool) -> tuple[Any, NDArray[np.bool_]]:
    """Local times as UTC, and which of them summer time leaves without an answer.

    The hour that comes twice in autumn is decided by the order of the rows: where the clock goes
    back within it, the rows before are of summer time and those after of winter time. Where it
    does not go back, the rows could be either.

    Args:
        local: a `pandas.Series` of naive timestamps in order of time, oldest first; may have NaT.
        zone: as `zone_of` gives it.
        each_once: whether a time that stands twice is the clock going back, as it is among bars;
            trades may share a time.

    Returns:
        The times in UTC, NaT where there is no answer, and a mask of these.
    """
    known = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    open_rows = (known.isna() & local.notna()).to_numpy()
    if not open_rows.any():
        return known.dt.tz_convert("UTC"), open_rows
    summer = _summer_by_order(local, zone, open_rows, each_once)
    decided = ~np.isnan(summer)
    both = local.dt.tz_localize(zone, ambiguous=summer == 1, nonexistent="NaT")
    answer = both.where(~open_rows | decided)
    return answer.dt.tz_convert("UTC"), (answer.isna() & local.notna()).to_numpy()


def _summer_by_order(
    local: Any, zone: tzinfo, open_rows: NDArray[np.bool_], each_once: bool
) -> NDArray[np.float64]:
    """1 for rows of summer time, 0 for those of winter time, NaN where the order does not tell."""
    as_summer = local.dt.tz_localize(zone, ambiguous=np.ones(len(local), bool), nonexistent="NaT")
    twice = np.flatnonzero(open_rows & as_summer.notna().to_numpy())
    summer = np.full(len(local), np.nan)
    values = local.to_numpy()
    for run in np.split(twice, np.flatnonzero(np.diff(twice) != 1) + 1):
        steps = np.diff(values[run])
        back = np.flatnonzero(steps < np.timedelta64(0))
        if not len(back) and each_once:
            back = np.flatnonzero(steps == np.timedelta64(0))
        if len(back) == 1:
            summer[run[: back[0] + 1]] = 1.0
            summer[run[back[0] + 1 :]] = 0.0
    return summer


def may_be_twice(local: datetime) -> bool:
    """Whether summer time ends somewhere at a local time: in the night of some Sundays.

    >>> may_be_twice(datetime(2024, 10, 27, 2, 30)), may_be_twice(datetime(2024, 10, 28, 2, 30))
    (True, False)
    """
    return local.weekday() == 6 and local.month in (3, 4, 10, 11) and local.hour <= 3
