"""Whether an unused text column separates instruments, in a file that is read as of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NO_INSTRUMENTS: Final = frozenset(
    (
        *("buy", "sell", "b", "s", "bid", "ask", "a", "long", "short", "true", "false", "t", "f"),
        *("market", "limit", "m", "l", "maker", "taker", "plustick", "zeroplustick", "minustick"),
        *("zerominustick", "yes", "no", "y", "n", "unknown", "none", "null"),
    )
)
"""Values, in small letters, that say something of a trade and not of what is traded."""
_CODE: Final = re.compile(
    r"(?i).*(?:code|id|isin|cusip|sedol|figi|permno|gvkey|token|contract|security|stock|stkcd)"
    r"|.*(?:\u4ee3\u7801|\u4ee3\u78bc|\u30b3\u30fc\u30c9|\ucf54\ub4dc)"
)
"""A name of what instruments are called by in numbers, such as `code` or `instrument_id`; the last
ones say `code` in Chinese, Japanese and Korean."""
_NO_CODES: Final = ("bid", "mid", "paid", "void", "valid")
_APART: Final = 0.01
"""Prices of one instrument at one time, or from one trade to the next, are not further apart."""
_TIMES_AS_FAR: Final = 10
_OFTEN: Final = 0.2
_SELDOM: Final = 0.01


def may_be_codes(name: str) -> bool:
    """Whether a column's numbers may tell instruments apart: 7203 is Toyota in Tokyo.

    >>> may_be_codes("instrument_id"), may_be_codes("bid"), may_be_codes("count")
    (True, False, False)
    """
    bare = name.strip()
    return _CODE.fullmatch(bare) is not None and bare.lower() not in _NO_CODES


@dataclass(frozen=True, slots=True)
class Mixed:
    """What a column's values are, where several of them stand at the same times."""

    values: tuple[str, ...]
    """In order of appearance."""
    is_sure: bool
    """Whether the prices, too, are those of several instruments."""


def mixed(
    labels: Any, ts: NDArray[np.int64], price: NDArray[np.float64], good: NDArray[np.bool_]
) -> Mixed | None:
    """Whether a column's values tell instruments apart; None where nothing says so.

    It is sure where prices of two values at one time are more than a hundredth apart, or where the
    price jumps as often as the value changes and not in between.

    >>> import pyarrow as pa
    >>> names = pa.chunked_array([["AAPL", "MSFT"] * 2])
    >>> mixed(names, np.array([1, 1, 2, 2]), np.array([170.0, 400, 171, 401]), np.ones(4, bool))
    Mixed(values=('AAPL', 'MSFT'), is_sure=True)

    Args:
        labels: the column, a `pyarrow.ChunkedArray`; a row without a value does not count.
        ts: event times, epoch ms, of shape (rows,).
        price: of shape (rows,).
        good: which rows can be used, of shape (rows,).
    """
    code, uniques = pd.factorize(labels.to_pandas(), use_na_sentinel=True)
    rows = np.flatnonzero(good & (code >= 0))
    values = tuple(str(uniques[each]) for each in pd.unique(code[rows]))
    if len(values) < 2 or NO_INSTRUMENTS.issuperset(value.lower() for value in values):
        return None
    rows = rows[np.argsort(ts[rows], kind="stable")]
    logs, ts, code = np.log(price[rows]), ts[rows], code[rows]
    by_time = np.lexsort((code, ts))
    beside = (np.diff(ts[by_time]) == 0) & (np.diff(code[by_time]) != 0)
    count = int(beside.sum())
    apart = np.abs(np.diff(logs[by_time]))[beside]
    if count >= _SELDOM * len(rows) and count and np.median(apart) > _APART:
        return Mixed(values, is_sure=True)
    if _jumps_with(logs, code):
        return Mixed(values, is_sure=True)
    if 2 * count >= len(rows) / 2 and 2 * len(values) <= len(rows):
        return Mixed(values, is_sure=False)
    return None


def _jumps_with(logs: NDArray[np.float64], code: NDArray[np.intp]) -> bool:
    """Whether the price, in order of time, jumps where the value changes, and only there."""
    changes = np.diff(code) != 0
    by_code = np.argsort(code, kind="stable")
    steps = np.abs(np.diff(logs[by_code]))[np.diff(code[by_code]) == 0]
    if changes.sum() < max(3, _OFTEN * len(code)) or 2 * len(steps) < len(code):
        return False
    jump = float(np.median(np.abs(np.diff(logs))[changes]))
    return jump > max(_APART, _TIMES_AS_FAR * float(np.median(steps)))
