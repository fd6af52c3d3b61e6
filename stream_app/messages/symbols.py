"""Which texts are symbols, and what is wrong with one that is not. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_SYMBOL_CHARS: Final = 64
SYMBOL_RULE: Final = (
    f"1 to {MAX_SYMBOL_CHARS} printable characters without white space, in the form NFC"
)


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
