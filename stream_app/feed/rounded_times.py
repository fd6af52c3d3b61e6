"""Epoch times that a spreadsheet has rounded: `1.709510E+12` stands for a thousand seconds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_EXPONENT: Final = r"^(\d(?:\.(\d*))?)[eE]\+?(\d{1,2})$"
_COARSE_MS: Final = 1_000_000
"""No times but those of bars of five days are all multiples of it."""
_FINE_MS: Final = 1_500
_ENOUGH_TIMES: Final = 3


def rounded_rows(
    column: Any, ts: NDArray[np.int64], good: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], float] | None:
    """Which rows have lost digits, and to how many seconds they are rounded; None without any.

    Whole numbers in full, and exponents with as many digits as the times need, have lost none.

    >>> import pyarrow as pa
    >>> column = pa.chunked_array([["1.709510E+12", "1.709511E+12"]])
    >>> rounded_rows(column, np.array([1709510000000, 1709511000000]), np.ones(2, bool))
    (array([ True,  True]), 1000.0)

    Args:
        column: a `pyarrow.ChunkedArray` of texts or numbers.
        ts: what they were read as, epoch ms, of shape (rows,).
        good: which were understood, of shape (rows,).
    """
    is_text = pa.types.is_string(column.type)
    if is_text and pc.any(pc.match_substring(column, "e", ignore_case=True)).as_py():
        return _by_digits(column, ts, good)
    if (ts[good] % _COARSE_MS).any():
        return None
    if len(np.unique(ts[good])) >= _ENOUGH_TIMES:
        return good, _COARSE_MS / 1000
    return None


def _by_digits(
    column: Any, ts: NDArray[np.int64], good: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], float] | None:
    parts = column.to_pandas().str.extract(_EXPONENT)
    written = good & parts[0].notna().to_numpy()
    if not written.any():
        return None
    parts = parts[written]
    decimals = parts[1].fillna("").str.len().to_numpy()
    digits_left = parts[2].astype(int).to_numpy() - decimals
    unit_ms = ts[written] / column.filter(pa.array(written)).cast(pa.float64()).to_numpy()
    step_ms = float((10.0**digits_left * unit_ms).min())
    # Who writes as many digits as are needed writes no 0 at the end.
    is_cut = bool((parts[0].str.contains(".", regex=False) & parts[0].str.endswith("0")).any())
    if step_ms < (_FINE_MS if is_cut else 0.999 * _COARSE_MS):
        return None
    return written, float(f"{step_ms / 1000:.3g}")
