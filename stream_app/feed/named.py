"""The symbol of each row of a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream_app.feed.problems import BadRows, told_of
from stream_app.feed.symbols import checked_symbol, symbol_of
from stream_app.feed.understood import FROM_NAME
from stream_app.messages.symbols import SYMBOL_RULE, is_symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A file's symbols, and which row has which."""

    symbols: tuple[str, ...]
    """In order of appearance."""
    code: NDArray[np.int64]
    """Each row's position in them, shape (rows,)."""
    told_by: str
    """Where they are from, in a user's words."""


def one_symbol(path: Path, given: str | None, in_header: str | None, rows: int) -> Named:
    """All rows of one symbol: the given one, the header's, or that of the file's name.

    Raises:
        SourceError: the name cannot be a symbol.
    """
    if given is not None:
        symbol, told_by = checked_symbol(given), "--symbol"
    elif in_header is not None:
        symbol, told_by = checked_symbol(in_header), "the header"
    else:
        symbol, told_by = symbol_of(path), FROM_NAME
    return Named(symbols=(symbol,), code=np.zeros(rows, dtype=np.int64), told_by=told_by)


def read_symbols(column: Any, name: str, bad: BadRows) -> Named:
    """A column of symbols; what cannot be one is noted in `bad`.

    Args:
        column: of any type.
        name: of the column.
        bad: rows that are bad already.
    """
    texts = column.cast(pa.string())
    codes, uniques = pd.factorize(texts.to_pandas(), use_na_sentinel=True)
    known = np.array([is_symbol(each) for each in uniques] + [False])
    bad.note(
        "bad_symbol",
        ~known[codes],  # the code of a missing symbol is -1, the last
        found=partial(told_of, "symbol", texts),
        wanted=SYMBOL_RULE,
        remedy="name another column with --column symbol=NAME",
    )
    symbols = tuple(each for each in uniques if is_symbol(each))
    place = {each: at for at, each in enumerate(symbols)}
    code = np.array([place.get(each, 0) for each in uniques] + [0], dtype=np.int64)[codes]
    return Named(symbols=symbols, code=code, told_by=f"the column {name}")
