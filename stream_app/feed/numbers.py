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

_POINT: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_COMMA: Final = re.compile(
    r"[+-]?(\d+|\d{1,3}([.' \u00a0\u202f]\d{3})+),\d*|[+-]?\d{1,3}(\.\d{3}){2,}"
)
_GROUPED_ONCE: Final = re.compile(r"[+-]?\d{1,3}[.,]\d{3}")
_PLAIN: Final = re.compile(r"[+-]?\d*\.\d*([eE][+-]?\d+)?")
_CURRENCY: Final = "$€£¥"
_TIMES: Final = {"K": 1e3, "M": 1e6, "B": 1e9}
_NO_SIZE: Final = ("-", "nan", "null", "none", "n/a", "na")
_SAMPLE_ROWS: Final = 100_000


def decimal_of(
    path: Path, columns: Mapping[str, Any], *, given: Decimal | None, delimiter: str | None
) -> Decimal:
    """Whether a file's numbers have a decimal point or a decimal comma.

    Values decide that can be read in one way only: `1.5` and `1,234.5`, or `1,5` and `1.234,5`.
    In fields that commas separate, a comma within a number is one of thousands.

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
            points = points or bool(_POINT.fullmatch(value) and "." in value)
            if unclear is None and _GROUPED_ONCE.fullmatch(value):
                unclear = (role, value)
        if not points:
            points = any(
                _PLAIN.fullmatch(text) and not _GROUPED_ONCE.fullmatch(text)
                for text in column[:_SAMPLE_ROWS].drop_null().to_pylist()
            )
    if unclear is None or points or delimiter == ",":
        return "."
    raise SourceError(
        f"{path}: {unclear[0]} {unclear[1]!r} could have a decimal comma or one of thousands; "
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
        plain = bare.replace(",", "") if _POINT.fullmatch(bare) else bare
    elif _COMMA.fullmatch(bare) or _GROUPED_ONCE.fullmatch(bare) or bare.lstrip("+-").isdecimal():
        plain = re.sub(r"[.' \u00a0\u202f]", "", bare).replace(",", ".")
    else:
        return float("nan")
    try:
        return float(plain) * times if re.match(r"[+-]?[\d.]", plain) else float("nan")
    except ValueError:
        return float("nan")
