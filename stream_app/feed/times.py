"""A column of times, in whichever form, to event times in epoch milliseconds, UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stream_app.feed.rounded_times import rounded_rows
from stream_app.feed.time_formats import formats_of, is_serial
from stream_app.feed.zones import to_utc, zone_of
from stream_app.messages.times import EARLIEST_TS, LATEST_TS

_UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_NS_IN_MS: Final = 1_000_000
_UTC: Final = "UTC"
ASSUMED: Final = "UTC (assumed)"
_WRITTEN: Final = "as written"
_YEARS: Final = "of 2000 to 2100"
_ANY_FORMAT: Final = "epoch s, ms, us or ns, or ISO 8601"
_MUST: Final = "times must lie in 2000 to 2100"
_OTHER_COLUMN: Final = "name another column with --column time=NAME"
_OFFSET: Final = r"(Z|z|[+-]\d\d(?::?\d\d)?)$"
_NO_OFFSET: Final = r"Z|z|[+-]00(:?00)?"
_OFFSET_AT_END: Final = r"\d{4}\D?\d{1,2}\D?\d{1,2}[T ].*(?:Z|z|[+-]\d\d(?::?\d\d)?)"
_BASIC_DATE: Final = re.compile(r"\d{8}")  # no epoch of 2000 to 2100 has eight digits
_NAMED_UTC: Final = r":\d\d(?:[.,]\d+)? ?(?:UTC|GMT)$"
"""A clock and UTC by name, which ISO 8601 does not know."""
_UTC_NAME: Final = r" ?(?:UTC|GMT)$"
_ABBREVIATION: Final = re.compile(r":\d\d ?(?!UTC$|GMT$)[A-Z]{3,4}$")
"""A time of day with EST, CET, IST."""


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
    remedies: tuple[str, ...] = (_OTHER_COLUMN,)
    """What can be done, for each of `reasons`; the last one holds for those beyond."""
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

    def remedy(self, row: int) -> str:
        """What can be done where a row was not understood."""
        return self.remedies[min(int(self.reason[row]), len(self.remedies)) - 1]


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
    text = column.cast(pa.string())
    texts = iso = text.to_pandas()
    if any(pc.any(pc.ends_with(text, name)).as_py() for name in ("UTC", "GMT")):
        named = texts.str.contains(_NAMED_UTC).fillna(False)
        iso = texts.where(~named, texts.str.replace(_UTC_NAME, "Z", regex=True))
    times = pd.to_datetime(iso, utc=True, format="ISO8601", errors="coerce")
    if times.isna().any():
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
        if np.isfinite(numbers).sum() > times.notna().sum():
            return _of_epoch(numbers, column)
    return _of_iso(iso, times, zone, texts)


def _of_iso(texts: Any, times: Any, time_zone: _Zone, found: Any) -> Times:
    """ISO 8601 text: each time has its own offset, or is of the zone; `found` is as it stands."""
    written = texts.str.fullmatch(_OFFSET_AT_END).fillna(False).to_numpy(dtype=bool)
    written = written & times.notna().to_numpy()
    naive = times.dt.tz_localize(None)
    wanted = f"ISO 8601 {_YEARS}, as most of the file's times are"
    if times.isna().all():
        example = next((text for text in found if isinstance(text, str)), "")
        wanted = f"{_ANY_FORMAT}{_hint(example)}; {_MUST}"
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
    if is_serial(text):
        return (
            " (a spreadsheet's number for it: format its cells as yyyy-mm-dd hh:mm:ss and export)"
        )
    if _ABBREVIATION.search(text):
        return (
            " (the letters of a zone are not guessed, as they mean several: leave them out and "
            "give --time-zone, such as America/New_York)"
        )
    formats = formats_of(text)
    if not formats:
        return ""
    options = " or ".join(f'--time-format "{each}"' for each in formats)
    if len(formats) == 1:
        return f" (give {options})"
    unclear = "day, month and year" if "%y" in options else "day and month"
    return f" ({unclear} are not guessed: give {options})"


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
        wanted = f"{_ANY_FORMAT}{_hint(first)}; {_MUST}"
    reason = (~good).astype(np.int8)
    rounded = rounded_rows(column, ts, good)
    if rounded is not None:
        reason[rounded[0]] = 2
    seconds = rounded[1] if rounded is not None else 0
    return Times(
        ts=ts,
        reason=reason,
        reasons=(
            wanted,
            f"all digits of a time (a spreadsheet has rounded these to {seconds:g} s)",
        ),
        remedies=(_OTHER_COLUMN, "export them again with all digits, as whole numbers"),
        format=", ".join(f"epoch {unit}" for unit in sorted(units, key=units.__getitem__)),
        zone=_UTC,
        local_ms=ts,
    )


def _of_datetimes(times: Any, time_format: str, zone: _Zone, wanted: str, has_zone: bool) -> Times:
    """Parsed times, of the zone where they have none of their own; NaT was not understood."""
    reason = times.isna().to_numpy().astype(np.int8)
    shown = _WRITTEN if has_zone else zone.name or ASSUMED
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
    reason[(reason == 0) & ~inside] = 3
    once = f"a time that {zone.name} has once (summer time makes it ambiguous or impossible)"
    return Times(
        ts=ts,
        reason=reason,
        reasons=(wanted, once, f"another one, for {_MUST}"),
        remedies=(_OTHER_COLUMN, _OTHER_COLUMN, "give data of these years"),
        format=time_format,
        zone=shown,
        local_ms=local_ms,
    )


def _ms(times: Any) -> NDArray[np.int64]:
    """Naive times as epoch ms; a missing one is the smallest integer."""
    found: NDArray[np.int64] = times.to_numpy(dtype="datetime64[ms]").astype(np.int64)
    return found
