"""The name of a symbol's folder: safe on every file system, reversible, and never another's. Pure.

A name has only ASCII letters and digits and `%._-~`, no path in it and no dot at its beginning. It
is told from others without small letters, for a disk may not tell them from capitals.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from stream_app.messages.symbols import split_state_name

MAX_QUOTED_CHARS: Final = 200
"""Longer names are packed: most file systems allow 255 bytes, and a suffix may follow."""
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz-_+="
_CODE_POINTS: Final = 0x110000


def folder_name(name: str) -> str:
    """The folder of a state's name, below the registry's root.

    >>> folder_name("BTC-USD"), folder_name("BTC-USD (partition 3)")
    ('BTC-USD', 'BTC-USD~p3')
    """
    symbol, partition = split_state_name(name)
    folder = symbol_folder(symbol)
    return folder if partition is None else f"{folder}~p{partition}"


def symbol_folder(symbol: str) -> str:
    """The folder of a symbol in the partition of its key.

    Quoting takes the slash and all that is not ASCII. What is in small letters is said once more
    after a tilde, bit by bit in hexadecimal: `btc` and `BTC` have folders of their own on a disk
    that does not tell small from capital letters. A name that is too long for that, such as one of
    64 Chinese characters, is packed as one number.

    Args:
        symbol: as `is_symbol` allows it.

    >>> symbol_folder("BTC-USD"), symbol_folder("btc"), symbol_folder("^GSPC"), symbol_folder("..")
    ('BTC-USD', 'btc~7', '%5EGSPC', '%2E.')
    """
    name = quote(symbol, safe="").replace("~", "%7E")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    small = sum(1 << at for at, letter in enumerate(symbol) if "a" <= letter <= "z")
    if small:
        name = f"{name}~{small:x}"
    return name if len(name) <= MAX_QUOTED_CHARS else f"~{_packed(symbol)}"


def _packed(symbol: str) -> str:
    """The symbol as a number to the base of all characters, written in forty digits.

    64 characters take at most 242 digits. No symbol has the character zero, so none is lost.
    """
    number = 0
    for character in symbol:
        number = number * _CODE_POINTS + ord(character)
    digits = []
    while number:
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
