from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given

from stream_app.registry.folders import folder_name
from tests.strategies import symbols

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz-_+="


def symbol_of(folder: str) -> str:
    """The way back, by nothing but what the docstrings say."""
    if not folder.startswith("~"):
        return unquote(folder.partition("~")[0])
    number, characters = 0, []
    for digit in folder[1:]:
        number = number * len(DIGITS) + DIGITS.index(digit)
    while number:
        number, character = divmod(number, 0x110000)
        characters.append(chr(character))
    return "".join(reversed(characters))


@pytest.mark.parametrize(
    ("symbol", "folder"),
    [
        ("BTC-USD", "BTC-USD"),
        ("BTC/USD", "BTC%2FUSD"),
        ("a.b:c", "a.b%3Ac~15"),
        ("btc", "btc~7"),
        ("Z" * 63 + "z", "Z" * 63 + "z~8000000000000000"),
    ],
)
def test_the_folders_of_symbols_that_were_allowed_before_keep_their_names(
    symbol: str, folder: str
) -> None:
    assert folder_name(symbol) == folder


@pytest.mark.parametrize("symbol", [".", "..", "../../etc", ".hidden", "~", "a~1", "%2E", "/"])
def test_a_symbol_that_looks_like_a_path_is_a_plain_name(symbol: str) -> None:
    name = folder_name(symbol)
    assert "/" not in name
    assert not name.startswith((".", "~"))
    assert symbol_of(name) == symbol


@pytest.mark.parametrize("letter", ["\u5e73", "\U0002f9d4", "\U0010fffd", "\u00e9", "%", "~", "/"])
def test_the_longest_symbols_fit_a_file_name(letter: str) -> None:
    name = folder_name(letter * 64)
    assert len(name) <= 243
    assert name.isascii()
    assert symbol_of(name) == letter * 64


@given(symbols)
def test_a_folder_says_its_symbol(symbol: str) -> None:
    name = folder_name(symbol)
    assert len(name) <= 243
    assert symbol_of(name) == symbol
