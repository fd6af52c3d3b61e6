"""A column of times, in whichever form, to event times in epoch milliseconds, UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream_app.feed.zones import to_utc, zone_of
from stream_app.messages.times import EARLIEST_TS, LATEST_TS

_UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_NS_IN_MS: Final = 1_000_000
_UTC: Final = "UTC"
_ASSUMED: Final = "UTC (assumed)"
_WRITTEN: Final = "as written"
_YEARS: Final = "of 2000 to 2100"
_ANY_FORMAT: Final = f"epoch s, ms, us or ns, or ISO 8601, {_YEARS}"
_OFFSET: Final = r"(Z|z|[+-]\d\d(?::?\d\d)?)$"
_NO_OFFSET: Final = r"Z|z|[+-]00(:?00)?"
_OFFSET_AT_END: Final = r"\d{4}\D?\d{1,2}\D?\d{1,2}[T ].*(?:Z|z|[+-]\d\d(?::?\d\d)?)"
_BASIC_DATE: Final = re.compile(r"\d{8}")  # no epoch of 2000 to 2100 has eight digits
_DATES: Final = (
    (re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{4}"), ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y")),
    (re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{2}"), ("%d{0}%m{0}%y", "%m{0}%d{0}%y")),
    (re.compile(r"\d{4}([./-])\d{1,2}\1\d{1,2}"), ("%Y{0}%m{0}%d",)),
    (re.compile(r"\d{1,2}([ -])[A-Za-z]{3}\1\d{4}"), ("%d{0}%b{0}%Y",)),
    (re.compile(r"\d{1,2}([ -])[A-Za-z]{3}\1\d{2}"), ("%d{0}%b{0}%y",)),
    (re.compile(r"[A-Za-z]{3}( )\d{1,2}, \d{4}"), ("%b %d, %Y",)),
    (re.compile(r"\d{14}()"), ("%Y%m%d%H%M%S",)),
    (re.compile(r"\d{12}()"), ("%Y%m%d%H%M",)),
    (re.compile(r"\d{8}()"), ("%Y%m%d",)),
)
_CLOCKS: Final = (
    (re.compile(r"\d{1,2}:\d\d:\d\d\.\d{1,9}"), "%H:%M:%S.%f"),
    (re.compile(r"\d{1,2}:\d\d:\d\d,\d{1,6}"), "%H:%M:%S,%f"),
    (re.compile(r"\d{1,2}:\d\d:\d\d [AaPp][Mm]"), "%I:%M:%S %p"),
    (re.compile(r"\d{1,2}:\d\d [AaPp][Mm]"), "%I:%M %p"),
    (re.compile(r"\d{1,2}:\d\d:\d\d"), "%H:%M:%S"),
    (re.compile(r"\d{1,2}:\d\d"), "%H:%M"),
    (re.compile(r"\d{9}"), "%H%M%S%f"),
    (re.compile(r"\d{6}"), "%H%M%S"),
    (re.compile(r"\d{4}"), "%H%M"),
)


@dataclass(frozen=True, slots=True)
class _Zone:
    """Of the times that name no zone, as `read_times` is given it."""

    name: str | None
    each_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """A column of times, understood as far as it can be. All arrays have shape (rows,)."""

    ts: NDArray[np.int64]
    """Epoch ms; of no meaning where a time was not understood."""
    reason: NDArray[np.int8]
    """0 for a row that was understood; else which of `reasons` says why not, from 1."""
    reasons: tuple[str, ...]
    """What was looked for."""
    format: str
    """`epoch ms`, `ISO 8601`, a strptime format, or the type of a column that holds times."""
    zone: str
    """Which zone the times were taken to be of."""
    local_ms: NDArray[np.int64]
    """As written, before any zone: whether all are midnights shows here."""

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which rows were understood."""
        understood: NDArray[np.bool_] = self.reason == 0
        return understood

    def wanted(self, row: int) -> str:
        """What was looked for in a row that was not understood."""
        return self.reasons[int(self.reason[row]) - 1]


def read_times(
    column: Any,
    *,
    time_format: str | None = None,
    time_zone: str | None = None,
    each_once: bool = False,
) -> Times:
    """Event times of a column.

    Without a format, numbers, and text that is numbers, are epoch s, ms, us or ns: each one's
    magnitude decides, since the years 2000 to 2100 in one unit are outside them in the others.
    Other text is ISO 8601. Parts of a millisecond are cut off; numbers with a fraction are
    rounded to the millisecond. Day and month are never guessed.

    >>> import pyarrow as pa
    >>> times = read_times(pa.chunked_array([["2022-01-01 09:30"]]), time_zone="America/New_York")
    >>> times.ts.tolist(), times.format, times.zone
    ([1641047400000], 'ISO 8601', 'America/New_York')

    Args:
        column: a `pyarrow.ChunkedArray` of integers, floats, text, dates or timestamps,
            as a `Table` gives them.
        time_format: as in strptime, for text.
        time_zone: of times that name no zone themselves; UTC without it.
        each_once: whether two rows of one time are of the two hours that summer time makes one,
            as they are among bars.
    """
    zone = _Zone(time_zone, each_once)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        has_zone = pa.types.is_timestamp(column.type) and column.type.tz is not None
        times = column.to_pandas()
        if pa.types.is_date(column.type):
            times = pd.to_datetime(times, errors="coerce")
        return _of_datetimes(times, str(column.type), zone, f"a time {_YEARS}", has_zone)
    if time_format is not None:
        texts = column.cast(pa.string()).to_pandas()
        zoned = "%z" in time_format or "%Z" in time_format
        times = pd.to_datetime(texts, format=time_format, errors="coerce", utc=zoned)
        wanted = f"a time as --time-format {time_format!r} says, {_YEARS}"
        return _of_datetimes(times, time_format, zone, wanted, zoned)
    numbers = _as_numbers(column)
    if numbers is not None and not _BASIC_DATE.fullmatch(str(column[0].as_py())):
        return _of_epoch(numbers, column)
    texts = column.cast(pa.string()).to_pandas()
    times = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    if times.isna().any():
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
        if np.isfinite(numbers).sum() > times.notna().sum():
            return _of_epoch(numbers, column)
    return _of_iso(texts, times, zone)


def formats_of(text: str) -> tuple[str, ...]:
    """The strptime formats that a time could be in; several where day and month are unclear.

    >>> formats_of("02.03.2023 09:30")
    ('%d.%m.%Y %H:%M', '%m.%d.%Y %H:%M')
    >>> formats_of("31/12/2023")
    ('%d/%m/%Y',)
    >>> formats_of("soon")
    ()
    """
    for date, date_formats in _DATES:
        found = date.match(text)
        if found is None:
            continue
        rest = text[found.end() :]
        clock = rest.lstrip(" T,")
        between = rest[: len(rest) - len(clock)]
        tails = [name for pattern, name in _CLOCKS if pattern.fullmatch(clock)] if clock else [""]
        possible = [
            each.format(found[1]) + between + tail for each in date_formats for tail in tails[:1]
        ]
        return tuple(each for each in possible if _fits(text, each))
    return ()


def _fits(text: str, time_format: str) -> bool:
    return bool(pd.notna(pd.to_datetime(text, format=time_format, errors="coerce")))


def _of_iso(texts: Any, times: Any, time_zone: _Zone) -> Times:
    """ISO 8601 text: each time has its own offset, or is of the zone."""
    written = texts.str.fullmatch(_OFFSET_AT_END).fillna(False).to_numpy(dtype=bool)
    written = written & times.notna().to_numpy()
    naive = times.dt.tz_localize(None)
    wanted = f"ISO 8601 {_YEARS}, as most of the file's times are"
    if times.isna().all():
        example = next((text for text in texts if isinstance(text, str)), "")
        wanted = _ANY_FORMAT + _hint(example)
    local = _of_datetimes(naive, "ISO 8601", time_zone, wanted, False)
    if not written.any():
        return local
    utc = _of_datetimes(times, "ISO 8601", time_zone, wanted, True)
    offsets = texts[written].str.extract(_OFFSET, expand=False).unique()
    named = _UTC if all(re.fullmatch(_NO_OFFSET, each) for each in offsets) else _WRITTEN
    zone = named if written.all() else f"{named}, else {local.zone}"
    return Times(
        ts=np.where(written, utc.ts, local.ts),
        reason=np.where(written, utc.reason, local.reason).astype(np.int8),
        reasons=local.reasons,
        format="ISO 8601",
        zone=zone,
        local_ms=local.local_ms,
    )


def _hint(text: str) -> str:
    """What to add where a time is in another format, or its day and month could be either."""
    formats = formats_of(text)
    if not formats:
        return ""
    options = " or ".join(f'--time-format "{each}"' for each in formats)
    return (
        f" (day and month are not guessed: give {options})"
        if len(formats) > 1
        else (f" (give {options})")
    )


def _as_numbers(column: Any) -> NDArray[Any] | None:
    """The column as int64 where it is exact, else as float64; None for text that is neither."""
    for target in (pa.int64(), pa.float64()):
        try:
            return np.asarray(column.cast(target).to_numpy())
        except pa.ArrowInvalid:
            continue
    return None


def _of_epoch(numbers: NDArray[Any], column: Any) -> Times:
    # The windows of the units do not overlap: 2000 in ms is the year 31,969 in s.
    ts = np.zeros(len(numbers), dtype=np.int64)
    units: dict[str, int] = {}
    good = np.zeros(len(numbers), dtype=bool)
    for unit, unit_ns in _UNIT_NS.items():
        factor = _NS_IN_MS / unit_ns
        inside = (numbers >= EARLIEST_TS * factor) & (numbers <= LATEST_TS * factor)
        if not inside.any():
            continue
        units[unit] = int(np.argmax(inside))
        chosen = numbers[inside]
        if numbers.dtype == np.int64:
            ts[inside] = chosen * 1000 if unit == "s" else chosen // (_NS_IN_MS // unit_ns)
        else:
            ts[inside] = np.round(chosen * (unit_ns / _NS_IN_MS)).astype(np.int64)
        good |= inside
    if units:
        shown = " or ".join(sorted(units, key=units.__getitem__))
        wanted = f"epoch {shown} {_YEARS}, as most of the file's times are"
    else:
        first = next((str(value.as_py()) for value in column if value.is_valid), "")
        wanted = _ANY_FORMAT + _hint(first)
    return Times(
        ts=ts,
        reason=(~good).astype(np.int8),
        reasons=(wanted,),
        format=", ".join(f"epoch {unit}" for unit in sorted(units, key=units.__getitem__)),
        zone=_UTC,
        local_ms=ts,
    )


def _of_datetimes(times: Any, time_format: str, zone: _Zone, wanted: str, has_zone: bool) -> Times:
    """Parsed times, of the zone where they have none of their own; NaT was not understood."""
    reason = times.isna().to_numpy().astype(np.int8)
    shown = _WRITTEN if has_zone else zone.name or _ASSUMED
    local_ms = _ms(times.dt.tz_localize(None))
    utc = times
    if has_zone:
        utc = times.dt.tz_convert("UTC")
    elif zone.name is not None:
        newest_first = len(local_ms) > 1 and local_ms[-1] < local_ms[0]
        ordered = times.iloc[::-1] if newest_first else times
        utc, open_rows = to_utc(
            ordered.reset_index(drop=True), zone_of(zone.name), each_once=zone.each_once
        )
        utc, open_rows = (utc.iloc[::-1], open_rows[::-1]) if newest_first else (utc, open_rows)
        reason[open_rows] = 2
    ts = _ms(utc.dt.tz_localize(None) if utc.dt.tz is not None else utc)
    inside = (ts >= EARLIEST_TS) & (ts <= LATEST_TS)
    reason[(reason == 0) & ~inside] = 1
    once = f"a time that {zone.name} has once (summer time makes it ambiguous or impossible)"
    return Times(
        ts=ts,
        reason=reason,
        reasons=(wanted, once),
        format=time_format,
        zone=shown,
        local_ms=local_ms,
    )


def _ms(times: Any) -> NDArray[np.int64]:
    """Naive times as epoch ms; a missing one is the smallest integer."""
    found: NDArray[np.int64] = times.to_numpy(dtype="datetime64[ms]").astype(np.int64)
    return found
