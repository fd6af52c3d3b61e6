"""Rows of numbers in order of time, as one array: a thousand symbols have hundreds each. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class SortedRows:
    """At most `kept` rows, the newest ones, sorted by their first column.

    Args:
        columns: the names; the first one is the time, and no two rows have the same.
        kept: how many rows.
    """

    def __init__(self, columns: Sequence[str], kept: int) -> None:
        self._columns = tuple(columns)
        self._kept = kept
        self._rows: NDArray[np.float64] = np.empty((0, len(columns)))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        """A column, oldest row first."""
        return self._rows[:, self._columns.index(column)]

    def row(self, time: float) -> dict[str, float] | None:
        """The row of this time."""
        at = self._place(time)
        if not self._is(at, time):
            return None
        return dict(zip(self._columns, self._rows[at].tolist(), strict=True))

    def put(self, row: Sequence[float]) -> bool:
        """Insert a row, or replace that of its time; False where it is too old to be kept."""
        at = self._place(row[0])
        if self._is(at, row[0]):
            self._rows[at] = row
        elif at == 0 and len(self._rows) >= self._kept:
            return False
        else:
            self._rows = np.insert(self._rows, at, row, axis=0)[-self._kept :]
        return True

    def drop_newest(self) -> None:
        """Forget the last row."""
        self._rows = self._rows[:-1]

    def clear(self) -> None:
        """Forget all rows."""
        self._rows = self._rows[:0]

    def _place(self, time: float) -> int:
        return int(np.searchsorted(self._rows[:, 0], time))

    def _is(self, at: int, time: float) -> bool:
        return at < len(self._rows) and bool(self._rows[at, 0] == time)


def or_nan(value: float | None) -> float:
    """How a row holds what is not there."""
    return math.nan if value is None else value


def numbers(values: NDArray[np.float64]) -> list[float | None]:
    """For JSON; what is not there is None."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def times(values: NDArray[np.float64]) -> list[int | None]:
    """Epoch milliseconds for JSON; what is not there is None."""
    return [None if math.isnan(value) else int(value) for value in values.tolist()]
