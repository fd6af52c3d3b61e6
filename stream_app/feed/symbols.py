"""Which names can be symbols, and the symbol that a file's name stands for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from stream_app.errors import SourceError
from stream_app.messages.symbols import SYMBOL_RULE, is_symbol, symbol_problem

_ENDINGS: Final = frozenset(
    (
        *("csv", "tsv", "txt", "tab", "dat", "data", "prn", "json", "jsonl", "ndjson"),
        *("parquet", "pq", "feather", "arrow", "ipc", "gz", "zip", "zst", "bz2", "xz"),
    )
)
_PIPES: Final = ("dev", "proc")
"""What standard input and `<(...)` of a shell are called by."""
_DATE: Final = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])(?:[-_.]?[0-3]\d)?(?!\d)"
    r"|(?:^|(?<=[-_.:/]))(?:19|20)\d\d(?=[-_.:/]|$)"
)
"""A year with its month, or a year that stands alone: RUSSELL2000 is none."""


def checked_symbol(name: str) -> str:
    """The name itself, if it can be a symbol.

    Raises:
        SourceError: it cannot.
    """
    if not is_symbol(name):
        raise SourceError(
            f"--symbol {name[:64]!a}: looked for {SYMBOL_RULE}; give such a name "
            f"({symbol_problem(name)})"
        )
    return name


def symbol_of(path: Path) -> str:
    """The symbol that a file's name stands for: without its endings, in capitals.

    >>> symbol_of(Path("prices/btc-usd.csv.gz")), symbol_of(Path("BRK.B.csv"))
    ('BTC-USD', 'BRK.B')

    Raises:
        SourceError: the name has what a symbol cannot have. It is never bent into another one.
    """
    if path.is_absolute() and path.parts[1] in _PIPES:
        raise SourceError(
            f"{path}: no column of symbols, and a pipe has no name; looked for the symbol; give it "
            "with --symbol NAME"
        )
    parts = path.name.split(".")
    while len(parts) > 1 and parts[-1].lower() in _ENDINGS:
        parts.pop()
    name = ".".join(parts).upper()
    if not is_symbol(name):
        raise SourceError(
            f"{path}: no column of symbols, and none in the file's name ({symbol_problem(name)}); "
            f"looked for {SYMBOL_RULE}; give one with --symbol NAME"
        )
    return name


def without_date(symbol: str) -> str | None:
    """The symbol without the date in it, or None where it has no date.

    >>> without_date("BTCUSDT-1M-2024-01"), without_date("BTCUSDT")
    ('BTCUSDT-1M', None)
    """
    if not _DATE.search(symbol):
        return None
    return re.sub(r"[-_.]{2,}", "-", _DATE.sub("", symbol)).strip("-_.:/") or "NAME"
