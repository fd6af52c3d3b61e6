"""Which names can be symbols, and the symbol that a file's name stands for."""

from __future__ import annotations

import re
from pathlib import Path

from stream_app.errors import SourceError
from stream_app.messages.symbols import SYMBOL_RULE, is_symbol, symbol_problem


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
    """The symbol that a file's name stands for: up to its first dot, in capitals.

    What a symbol cannot hold becomes a dash: `btc usd (1).csv` is BTC-USD-1.

    Raises:
        SourceError: nothing is left.
    """
    name = re.sub(r"[^A-Z0-9_:-]+", "-", path.name.partition(".")[0].upper()).strip("-_:")[:64]
    if not name:
        raise SourceError(
            f"{path}: no column of symbols, and none in the file's name; looked for {SYMBOL_RULE}; "
            "give one with --symbol NAME"
        )
    return name
