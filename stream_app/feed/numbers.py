"""Columns of numbers as people write them: `1,234.5`, `1.234,5`, `$12`, `1.2M`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream_app.errors import SourceError

Decimal = Literal[".", ","]

_BLANKS: Final = " \u00a0\u202f"
_POINT: Final = re.compile(
    rf"[+-]?(\d{{1,3}}([,'\u2019{_BLANKS}]\d{{3}})+|\d{{1,2}}(,\d\d)+,\d{{3}})(\.\d*)?"
)
"""With a decimal point, grouped by thousands or as in India: `1,234,567.8`, `12,34,567.8`."""
_COMMA: Final = re.compile(
    rf"[+-]?(\d+|\d{{1,3}}([.'\u2019{_BLANKS}]\d{{3}})+),\d*([eE][+-]?\d+)?"
    r"|[+-]?\d{1,3}(\.\d{3}){2,}"
)
_WHOLE_GROUPED: Final = re.compile(rf"[+-]?\d{{1,3}}(['\u2019{_BLANKS}]\d{{3}})+")
"""Groups that say nothing of the decimals."""
_GROUPED_ONCE: Final = re.compile(r"[+-]?\d{1,3}[.,]\d{3}")
_PLAIN: Final = re.compile(r"[+-]?\d*\.\d*([eE][+-]?\d+)?")
_CURRENCY: Final = "$€£¥"
_TIMES: Final = {"K": 1e3, "M": 1e6, "B": 1e9}
_NO_SIZE: Final = ("-", "--", "nan", "null", "none", "n/a", "na", "#n/a", "#n/a n/a", "<na>", "\\n")
_SIZES: Final = ("size", "volume")
_SAMPLE_ROWS: Final = 100_000
_MOST_DECIMALS: Final = 12
_WHOLE: Final = 2.0**53
"""Below it a float has each whole number."""
_NEAR_A_THOUSAND: Final = 0.5
"""By a factor of 316 to 3162."""


def decimal_of(
    path: Path, columns: Mapping[str, Any], *, given: Decimal | None, delimiter: str | None
) -> Decimal:
    """Whether a file's numbers have a decimal point or a decimal comma.

    Values decide that can be read in one way only: `1.5` and `1,234.5`, or `1,5` and `1.234,5`.
    In fields that commas separate, a comma within a size is one of thousands.

    Args:
        path: the file, for the message.
        columns: role -> its column of numbers.
        given: what the user said; it wins.
        delimiter: what separates the fields; None where nothing does.

    Raises:
        SourceError: all commas could be either.
    """
    if given is not None:
        return given
    unclear = None
    points = False
    for role, column in columns.items():
        if not pa.types.is_string(column.type):
            continue
        for value in _with_commas(column):
            if _COMMA.fullmatch(value) and not _POINT.fullmatch(value):
                return ","
            points = points or bool(_POINT.fullmatch(value) and re.search(r"\.|,.*,", value))
            is_thousands = delimiter == "," and role in _SIZES
            if unclear is None and not is_thousands and _GROUPED_ONCE.fullmatch(value):
                unclear = (role, value)
        points = points or _has_points(column)
    if unclear is None or points:
        return "."
    raise _unclear(path, *unclear, "comma")


def refuse_jumps(
    path: Path,
    role: str,
    column: Any,
    values: NDArray[np.float64],
    rows: NDArray[np.int64],
) -> None:
    """Refuse a column whose points may be of thousands, as in 999 and 1.001.

    Prices do not change a thousandfold between neighbours, so there the point is in doubt. In an
    ordinary file no whole number stands beside one with three decimals a thousand times smaller.

    Args:
        path: the file, for the message.
        role: the column's.
        column: as it stands in the file.
        values: as it was read, with decimal points.
        rows: the usable rows of one symbol, in their order.

    Raises:
        SourceError: it has such neighbours.
    """
    if not pa.types.is_string(column.type) or len(rows) < 2:
        return
    logs = np.log10(values[rows])
    for at in np.flatnonzero(np.abs(np.abs(np.diff(logs)) - 3) < _NEAR_A_THOUSAND)[:_SAMPLE_ROWS]:
        small, large = sorted((int(rows[at]), int(rows[at + 1])), key=lambda row: values[row])
        text = column[small].as_py()
        is_grouped = _GROUPED_ONCE.fullmatch(_bare(text)[0]) and not text.startswith("0")
        if is_grouped and "." not in column[large].as_py() and not _has_points(column):
            raise _unclear(path, role, text, "point")


def _has_points(column: Any) -> bool:
    """Whether a number has a point that can only be a decimal one."""
    return any(
        _PLAIN.fullmatch(text) and not _GROUPED_ONCE.fullmatch(text)
        for text in column[:_SAMPLE_ROWS].drop_null().to_pylist()
    )


def _unclear(path: Path, role: str, text: str, mark: str) -> SourceError:
    return SourceError(
        f"{path}: {role} {text!r} could have a decimal {mark} or one of thousands; "
        "looked for a number that tells; say which with --decimal , or --decimal ."
    )


def read_numbers(column: Any, *, decimal: Decimal, is_size: bool) -> NDArray[np.float64]:
    """A column as floats, NaN where there is no number.

    >>> import pyarrow as pa
    >>> read_numbers(pa.chunked_array([["1,234.5", "$7", "soon"]]), decimal=".", is_size=False)
    array([1234.5,    7. ,    nan])
    >>> read_numbers(pa.chunked_array([["1.234,5", "1,2M"]]), decimal=",", is_size=True)
    array([   1234.5, 1200000. ])

    Args:
        column: a `pyarrow.ChunkedArray`, as a `Table` gives it.
        decimal: as `decimal_of` gives it.
        is_size: whether K, M and B may follow, as in volumes.
    """
    if not pa.types.is_string(column.type):
        if pa.types.is_float32(column.type):  # 1.1 and not 1.10000002384
            column = column.cast(pa.string())
        try:
            return _floats(column.cast(pa.float64(), safe=False).to_numpy())
        except pa.ArrowNotImplementedError:  # times are no numbers
            return np.full(len(column), np.nan)
    if decimal == ".":
        try:
            return _floats(column.cast(pa.float64()).to_numpy())
        except pa.ArrowInvalid:  # text among the numbers: find it
            pass
    texts = column.to_pandas()
    values = np.full(len(column), np.nan)
    plain = _floats(pd.to_numeric(texts, errors="coerce"))
    if decimal == ".":
        values = plain
    written = texts[np.isnan(values) & texts.notna().to_numpy()]
    if not len(written):
        return values
    found = np.array([_number(text, decimal, is_size) for text in written], dtype=np.float64)
    values[written.index.to_numpy()] = found
    return values


def middle(bid: NDArray[np.float64], ask: NDArray[np.float64]) -> NDArray[np.float64]:
    """The middle of quotes, with the digits that it has in decimals: at most one more than theirs.

    >>> import numpy as np
    >>> middle(np.array([86.655]), np.array([86.728]))
    array([86.6915])
    """
    plain: NDArray[np.float64] = (bid + ask) / 2
    digits = max(_decimals(bid), _decimals(ask))
    if digits > _MOST_DECIMALS:
        return plain
    rounded: NDArray[np.float64] = np.round(plain, digits + 1)
    exact = np.abs(plain) * 10.0 ** (digits + 1) < _WHOLE
    return np.where(exact, rounded, plain)


def _decimals(values: NDArray[np.float64]) -> int:
    """How many decimals the values have, or more than `_MOST_DECIMALS`."""
    left = values[np.isfinite(values)]
    for digits in range(_MOST_DECIMALS + 1):
        left = left[np.round(left, digits) != left]
        if not len(left):
            return digits
    return _MOST_DECIMALS + 1


def without_size(column: Any) -> NDArray[np.bool_]:
    """Where a column of sizes has none: empty, NaN, or a word for it. Shape (rows,)."""
    missing: NDArray[np.bool_] = column.is_null(nan_is_null=True).to_numpy()
    if pa.types.is_string(column.type):
        missing = missing | column.to_pandas().str.lower().isin(_NO_SIZE).to_numpy()
    return missing


def _floats(values: Any) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _with_commas(column: Any) -> Iterable[str]:
    """The different values that have a comma, or points that only a decimal comma explains."""
    texts = column.drop_null().to_pandas()
    chosen = texts[texts.str.contains(r",|\..*\.", regex=True)]
    return (_bare(text)[0] for text in chosen.unique())


def _bare(text: str) -> tuple[str, float]:
    """A number's text without currency and unit, and what the unit multiplies it with."""
    text = text.strip().strip(_CURRENCY).strip()
    unit = text[-1:].upper()
    return (text[:-1].strip(), _TIMES[unit]) if unit in _TIMES else (text, 1.0)


def _number(text: str, decimal: Decimal, is_size: bool) -> float:
    bare, times = _bare(text)
    if times != 1.0 and not is_size:
        return float("nan")
    if decimal == ".":
        plain = re.sub(f"[,'\u2019{_BLANKS}]", "", bare) if _POINT.fullmatch(bare) else bare
    elif bare.lstrip("+-").isdecimal() or any(
        form.fullmatch(bare) for form in (_COMMA, _GROUPED_ONCE, _WHOLE_GROUPED)
    ):
        plain = re.sub(rf"[.'\u2019{_BLANKS}]", "", bare).replace(",", ".")
    else:
        return float("nan")
    try:
        return float(plain) * times if re.match(r"[+-]?[\d.]", plain) else float("nan")
    except ValueError:
        return float("nan")
