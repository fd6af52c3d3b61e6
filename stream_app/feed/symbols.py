"""Which names can be symbols, and the symbol that a file's name stands for."""

from __future__ import annotations

import re
from pathlib import Path

from stream_app.errors import SourceError
from stream_app.messages.ticks import SYMBOL_PATTERN

SYMBOL_RULE = "1 to 64 of A-Z a-z 0-9 . _ : / - that begin with a letter or digit"


def checked_symbol(name: str) -> str:
    """The name itself, if it can be a symbol.

    Raises:
        SourceError: it cannot.
    """
    if not SYMBOL_PATTERN.fullmatch(name):
        shown = repr(name)[:80]
        raise SourceError(f"--symbol {shown}: looked for {SYMBOL_RULE}; give such a name")
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
