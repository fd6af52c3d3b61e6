from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.messages.symbols import is_symbol, symbol_problem
from tests.strategies import symbols

CONTRACTS = Path(__file__).parents[3] / "docs" / "contracts"
SCHEMAS = [
    json.loads((CONTRACTS / f"{name}.schema.json").read_text())["properties"]["symbol"]
    for name in ("tick", "bar", "prediction")
]


def fits_schemas(text: str) -> bool:
    verdicts = {
        bool(re.search(schema["pattern"], text)) and len(text) <= schema["maxLength"]
        for schema in SCHEMAS
    }
    assert len(verdicts) == 1
    return verdicts.pop()


@pytest.mark.parametrize(
    "symbol",
    ["^GSPC", "EURUSD=X", "GC=F", "M&M.NS", "BRK.B", "\u5e73\u5b89", "\u30c8\u30e8\u30bf",
     "\u0e1b\u0e15\u0e17", "\u0623\u0631", "\U0001f680", "A" * 64, "..", "-A", "a/b", "\u00e9"],
)  # fmt: skip
def test_what_exchanges_list_is_a_symbol(symbol: str) -> None:
    assert is_symbol(symbol)
    assert fits_schemas(symbol)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no character, at least 1 and at most 64 are allowed"),
        ("A B", "character 2, U+0020 SPACE, is white space"),
        ("A\u00a0B", "character 2, U+00A0 NO-BREAK SPACE, is white space"),
        ("A\u3000", "character 2, U+3000 IDEOGRAPHIC SPACE, is white space"),
        ("A\n", "character 2, U+000A, is white space"),
        ("A\x00", "character 2, U+0000, is a control character"),
        ("\x1b[2J", "character 1, U+001B, is a control character"),
        ("BTC\u202e", "character 4, U+202E RIGHT-TO-LEFT OVERRIDE, is not printable"),
        ("BTC\u200b", "character 4, U+200B ZERO WIDTH SPACE, is not printable"),
        ("\ufeffBTC", "character 1, U+FEFF ZERO WIDTH NO-BREAK SPACE, is not printable"),
        ("\ue000", "character 1, U+E000, is not printable"),
        ("A" * 65, "65 characters, at most 64 are allowed"),
        (
            "caf" + "e\u0301",
            "character 4, U+0065 LATIN SMALL LETTER E, is not in the form NFC: send 'caf\\xe9'",
        ),
        ("\u212b", "U+212B ANGSTROM SIGN, is not in the form NFC: send '\\xc5'"),
    ],
)
def test_a_refusal_names_the_character_and_the_rule(text: str, told: str) -> None:
    assert not is_symbol(text)
    assert told in symbol_problem(text)


def test_one_character_is_a_symbol_as_unicode_says() -> None:
    """The schemas refuse what they can: white space, control and format characters."""
    for point in range(sys.maxunicode + 1):
        text = chr(point)
        category = unicodedata.category(text)
        wanted = category[0] not in "CZ" and unicodedata.normalize("NFC", text) == text
        assert is_symbol(text) is wanted, hex(point)
        if wanted:
            assert fits_schemas(text), hex(point)
        elif category in ("Cc", "Cf", "Zs", "Zl", "Zp", "Co") and point < 0x10000:
            assert not fits_schemas(text), hex(point)


@given(symbols)
def test_the_schemas_take_every_symbol(symbol: str) -> None:
    assert fits_schemas(symbol)


@given(st.text(max_size=70))
def test_a_text_is_a_symbol_or_has_a_printable_problem(text: str) -> None:
    if not is_symbol(text):
        problem = symbol_problem(text)
        assert problem.isprintable()
        assert len(problem) < 400
