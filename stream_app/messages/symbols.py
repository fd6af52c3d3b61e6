"""Which texts are symbols, what is wrong with one that is not, and names of states. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

MAX_SYMBOL_CHARS: Final = 64
SYMBOL_RULE: Final = (
    f"1 to {MAX_SYMBOL_CHARS} printable characters without white space, in the form NFC"
)

_STATE_NAME: Final = re.compile(r"(\S+) \(partition ([0-9]{1,9})\)")


def some_of(names: Sequence[str], most: int = 10) -> str:
    """The first names, and how many more there are.

    >>> some_of(["A", "B", "C"], 2), some_of(["A", "B"], 2)
    ('A, B and 1 more', 'A, B')
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def is_symbol(text: str) -> bool:
    """Whether a text can be a symbol. Called once for each tick.

    >>> is_symbol("BTC-USD"), is_symbol("^GSPC"), is_symbol("平安银行"), is_symbol("A B")
    (True, True, True, False)
    """
    # The space is the one white space that Python calls printable.
    return (
        0 < len(text) <= MAX_SYMBOL_CHARS
        and text.isprintable()
        and " " not in text
        and (text.isascii() or unicodedata.is_normalized("NFC", text))
    )


def symbol_problem(text: str) -> str:
    """Why a text is no symbol: the character, its place and the rule. Printable, one line.

    Args:
        text: one that `is_symbol` refuses.

    >>> symbol_problem("BTC USD")
    'character 4, U+0020 SPACE, is white space'
    """
    if not text:
        return f"no character, at least 1 and at most {MAX_SYMBOL_CHARS} are allowed"
    if len(text) > MAX_SYMBOL_CHARS:
        return f"{len(text)} characters, at most {MAX_SYMBOL_CHARS} are allowed"
    for number, character in enumerate(text, start=1):
        if kind := _forbidden(character):
            return f"character {number}, {_named(character)}, is {kind}"
    composed = unicodedata.normalize("NFC", text)
    number = next(
        at for at, (given, wanted) in enumerate(zip(text, composed + " ", strict=False), start=1)
        if given != wanted
    )  # fmt: skip
    return (
        f"character {number}, {_named(text[number - 1])}, is not in the form NFC: "
        f"send {ascii(composed)[:160]}"
    )


def state_name(symbol: str, partition: int | None) -> str:
    """What identifies a symbol's window and models within one topic.

    Args:
        symbol: whose.
        partition: where its ticks come from; None for the partition of its key. No symbol has a
            space, so the name of a state elsewhere is that of no symbol.

    >>> state_name("BTC", None), state_name("BTC", 3)
    ('BTC', 'BTC (partition 3)')
    """
    return symbol if partition is None else f"{symbol} (partition {partition})"


def split_state_name(name: str) -> tuple[str, int | None]:
    """The symbol and the partition, as `state_name` took them.

    >>> split_state_name("BTC"), split_state_name("BTC (partition 3)")
    (('BTC', None), ('BTC', 3))
    """
    elsewhere = _STATE_NAME.fullmatch(name)
    return (elsewhere[1], int(elsewhere[2])) if elsewhere else (name, None)


def _forbidden(character: str) -> str | None:
    if character.isspace():
        return "white space"
    if unicodedata.category(character) == "Cc":
        return "a control character"
    if not character.isprintable():
        return "not printable"
    return None


def _named(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} {name}".rstrip()
