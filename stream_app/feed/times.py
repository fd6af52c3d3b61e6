"""A column of times, in whichever unit, to event times in epoch milliseconds, UTC."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream_app.messages.times import EARLIEST_TS, LATEST_TS

_UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_NS_IN_MS: Final = 1_000_000
_ANY_FORMAT: Final = "epoch s, ms, us or ns, or ISO 8601, of 2000 to 2100"


class BadTimeError(Exception):
    """A time that cannot be understood.

    Attributes:
        row: the first such row, from 0.
        wanted: what was looked for there.
    """

    def __init__(self, row: int, wanted: str) -> None:
        super().__init__(f"row {row}: not {wanted}")
        self.row = row
        self.wanted = wanted


def epoch_ms(column: Any) -> NDArray[np.int64]:
    """Event times of a column, of shape (rows,).

    Numbers, and text that is numbers, are epoch s, ms, us or ns: their magnitude decides which,
    once for the column. Other text is ISO 8601, in UTC where it names no offset. Parts of a
    millisecond are cut off; numbers with a fraction are rounded to the millisecond.

    Args:
        column: a `pyarrow.ChunkedArray` of integers, floats, text, dates or timestamps,
            as a `Table` gives them.

    Raises:
        BadTimeError: a time is null, in no known format, in another format or unit than most, or
            outside 2000 to 2100.
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _checked(pd.to_datetime(column.to_pandas(), utc=True), "a time of 2000 to 2100")
    numbers = _as_numbers(column)
    if numbers is not None:
        return _from_epoch(numbers)
    texts = column.to_pandas()
    times = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    if times.isna().any():
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
        if np.isfinite(numbers).sum() > times.notna().sum():
            return _from_epoch(numbers)  # which names the row that is no number
        if times.isna().all():
            raise BadTimeError(0, _ANY_FORMAT)
    return _checked(times, "ISO 8601 of 2000 to 2100, as most of the file's times are")


def _as_numbers(column: Any) -> NDArray[Any] | None:
    """The column as int64 where it is exact, else as float64; None for text that is neither."""
    for target in (pa.int64(), pa.float64()):
        try:
            return np.asarray(column.cast(target).to_numpy())
        except pa.ArrowInvalid:
            continue
    return None


def _from_epoch(numbers: NDArray[Any]) -> NDArray[np.int64]:
    # The windows of the units do not overlap: 2000 in ms is the year 31,969 in s.
    inside = {
        unit: (numbers >= EARLIEST_TS * _NS_IN_MS / unit_ns)
        & (numbers <= LATEST_TS * _NS_IN_MS / unit_ns)
        for unit, unit_ns in _UNIT_NS.items()
    }
    unit = max(inside, key=lambda name: int(inside[name].sum()))
    if not inside[unit].any():
        raise BadTimeError(0, _ANY_FORMAT)
    if not inside[unit].all():
        raise BadTimeError(
            int(np.argmin(inside[unit])),
            f"epoch {unit} of 2000 to 2100, as most of the file's times are",
        )
    if numbers.dtype == np.int64:
        if unit == "s":
            return numbers * 1000
        return numbers // (_NS_IN_MS // _UNIT_NS[unit])
    return np.round(numbers * (_UNIT_NS[unit] / _NS_IN_MS)).astype(np.int64)


def _checked(times: Any, wanted: str) -> NDArray[np.int64]:
    # A missing time becomes the smallest integer, which is outside too.
    milliseconds: NDArray[np.int64] = (
        times.dt.tz_localize(None).to_numpy(dtype="datetime64[ms]").astype(np.int64)
    )
    inside = (milliseconds >= EARLIEST_TS) & (milliseconds <= LATEST_TS)
    if not inside.all():
        raise BadTimeError(int(np.argmin(inside)), wanted)
    return milliseconds
