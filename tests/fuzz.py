"""A seeded fuzzer of tick records that knows the structure of a tick.

Every case is a valid tick that was broken in one known way, or in two, so its reason is known
from how it was made and not from the code under test. A record that is wrong in several ways has
the reason that comes first in `ticks.REASONS`. Of two fields of one name the last one counts.
"""

from __future__ import annotations

import gzip
import itertools
import pickle
import random
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from stream_app.messages.ticks import MAX_TICK_BYTES, REASONS
from stream_app.messages.times import EARLIEST_TS, LATEST_TS
from tests.builders import START_MS

SYMBOLS: Final = ("A", "BTC-USD", "x/y:z.1_2", "0" * 64, "^GSPC", "M&M.NS", "\u5e73\u5b89", "..")
DEPTH_LIMIT: Final = 1024
"""How deeply orjson follows nested values."""

_RANK: Final = {reason: rank for rank, reason in enumerate(REASONS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A record to send, and what should become of it."""

    symbol: str
    """Of the tick that it was made from."""
    key: bytes | None
    value: bytes | None
    reason: str | None
    """A code from ticks.REASONS; None for a valid tick."""
    kind: str
    """How it was made, for the message of a failed test."""


@dataclass(slots=True)
class Draft:
    """A tick on its way to bytes: its key, and its fields as JSON texts, in order."""

    symbol: str
    key: bytes | None
    fields: list[tuple[bytes, bytes]]

    def set(self, name: bytes, token: bytes) -> None:
        self.fields = [(n, token if n == name else t) for n, t in self.fields]
        if name not in dict(self.fields):
            self.fields.append((name, token))

    def drop(self, name: bytes) -> None:
        self.fields = [(n, token) for n, token in self.fields if n != name]


Edit = Callable[[random.Random, Draft], None]
"""Breaks the key or a field."""
Spoil = Callable[[random.Random, bytes], bytes | None]
"""Breaks the text of a whole tick."""

NOT_JSON: Final = (
    b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"nan", b"1e400", b"-1e400", b"9" * 400, b"1e",
    b"1.", b".5", b"01", b"-", b"+1", b"0x10", b"1_000", b"1,5", b"None", b"True", b"undefined",
    b"", b"'1'", b"[1", b'{"a":1', b"[1,]", b'{"a"}', b'{1:2}', b'"unclosed', b'"\\ud800"',
    b'"\\udc00\\ud800"', b'"\\x41"', b'"\\u12"', b'"a\x00b"', b'"a\nb"', b'"\xff"', b'"\xc0\xaf"',
    b'"\xed\xa0\x80"', b'"\xf5\x80\x80\x80"', b'"cut \xe2\x82"', b"/* 1 */ 1", b"1 // one",
    b"\xa01", "\u00bd".encode(), "\uff11".encode(), b"1\x00", b"NULL",
)  # fmt: skip
NOT_NUMBERS: Final = (
    b'"1.5"', b'"NaN"', b'"Infinity"', b'""', b"true", b"false", b"[]", b"[1.5]", b"{}",
    b'{"$numberDouble":"1.5"}', b'"1e3"', b'"\\u0031"',
)  # fmt: skip
NOT_TEXT: Final = (b"1", b"1.5", b"true", b"false", b"[]", b'["A"]', b"{}", b'{"A":1}', b"-0")
TOKENS: Final[dict[bytes, dict[str, Sequence[bytes]]]] = {
    b"symbol": {"wrong_type": (*NOT_TEXT, b"null"), "not_json": NOT_JSON},
    b"price": {
        "wrong_type": (*NOT_NUMBERS, b"null"),
        "not_json": NOT_JSON,
        "bad_price": (
            b"0", b"-0", b"0.0", b"-0.0", b"0e9", b"-1", b"-1.5", b"-1e-300", b"1e-400", b"5e-324",
            b"9.99e-13", b"1.0000001e15", b"1000000000000001", b"1e16", b"1.8e307",
            b"-1e308", b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809",
            b"9" * 300,
        ),
    },
    b"ts": {
        "wrong_type": (
            *NOT_NUMBERS, b"null", b"1640995200000.5", b"1640995200.5", b"-0.5",
            b'"2022-01-01T00:00:00Z"',
        ),
        "not_json": NOT_JSON,
        "bad_time": (
            b"0", b"-0", b"1", b"-1", b"-0.0", b"1e3", b"1E11", b"1640995200.0",
            b"1640995200", b"1640995200000000", b"1640995200000000000",
            str(EARLIEST_TS - 1).encode(), str(LATEST_TS + 1).encode(), b"-1640995200000",
            b"9007199254740993", b"9223372036854775807", b"9223372036854775808",
            b"-9223372036854775808", b"18446744073709551615", b"18446744073709551616",
            b"-9223372036854775809", b"9" * 40, b"-" + b"9" * 300,
        ),
    },
    b"size": {
        "wrong_type": NOT_NUMBERS,
        "not_json": NOT_JSON,
        "bad_size": (b"-1", b"-1e-300", b"1.0000001e15", b"1e16", b"1e308", b"9" * 300),
    },
    b"source": {
        "wrong_type": (*NOT_TEXT, b'"%s"' % (b"x" * 65), '"{}"'.format("\u20ac" * 65).encode()),
        "not_json": NOT_JSON,
    },
}  # fmt: skip
BAD_SYMBOLS: Final = (
    "", " ", "A B", " A", "A ", "A\x00", "A\n", "\nA", "A\r", "A\t", "A\x1b[2J", "A\x7f", "A\x85",
    "BTC\u202e", "BTC\u200b", "\ufeffBTC", "A\u2028", "\u00a0", "\u5e73\u3000\u5b89", "A\u00ad",
    "\ue000", "\u0378", "\U000e0001", "\U0001f468\u200d\U0001f469", "A\u0301", "\u212b",
    "\u1100\u1161", "A" * 65, "A" * 5000, "\u5e73" * 65,
)  # fmt: skip
OTHER_NAMES: Final = {
    b"symbol": (
        b"Symbol",
        b"SYMBOL",
        b"sym",
        b"symbol ",
        b"symbo\\u0000l",
        b"",
        "s\u200b".encode(),
    ),
    b"price": (b"Price", b"px", b"pric", b"price\\n", "pr\u0456ce".encode()),
    b"ts": (b"TS", b"time", b"timestamp", b" ts", b"t s"),
}


def _field(name: bytes, token: bytes) -> Edit:
    return lambda _random, draft: draft.set(name, token)


def _repeated(name: bytes, token: bytes) -> Edit:
    """The last field of a name counts, so a good one before it does not help."""
    return lambda _random, draft: draft.fields.append((name, token))


def _bad_symbol(symbol: str) -> Edit:
    def edit(chance: random.Random, draft: Draft) -> None:
        draft.set(b"symbol", orjson.dumps(symbol))
        if chance.random() < 0.7:
            draft.key = symbol.encode()

    return edit


def _dropped(name: bytes) -> Edit:
    return lambda _random, draft: draft.drop(name)


def _renamed(name: bytes, other: bytes) -> Edit:
    def edit(_chance: random.Random, draft: Draft) -> None:
        draft.fields = [(other if n == name else n, token) for n, token in draft.fields]

    return edit


def _future(chance: random.Random, draft: Draft) -> None:
    ten_years = 10 * 365 * 86_400_000
    draft.set(b"ts", str(LATEST_TS - chance.randrange(ten_years)).encode())


def _keys(symbol: str) -> list[bytes | None]:
    key = symbol.encode()
    return [
        None, b"", b"Z" if key != b"Z" else b"Y", key + b"\x00", key + b" ", b" " + key,
        key + b"\n", b'"' + key + b'"', b"\xef\xbb\xbf" + key, symbol.encode("utf-16"), b"\xff",
        key[:-1] + b"\xc3", key * 40 + b"!", b"\x00\x00\x00\x00\x07" + key, b"\x1b[2J", key + key,
        b"null",
    ]  # fmt: skip


def _key(number: int) -> Edit:
    def edit(_chance: random.Random, draft: Draft) -> None:
        draft.key = _keys(draft.symbol)[number]

    return edit


def _edits() -> Iterator[tuple[str, str, bytes, Edit]]:
    """Kind, reason, the field that it is about, and the edit."""
    for name, by_reason in TOKENS.items():
        shown = name.decode()
        for reason, tokens in by_reason.items():
            for token in tokens:
                yield f"{shown}={token[:24]!r}", reason, name, _field(name, token)
            yield f"{shown} twice", reason, name, _repeated(name, tokens[0])
    for symbol in BAD_SYMBOLS:
        yield f"symbol={symbol[:24]!a}", "bad_symbol", b"symbol", _bad_symbol(symbol)
    for name, others in OTHER_NAMES.items():
        yield f"no {name.decode()}", "missing_field", name, _dropped(name)
        for other in others:
            yield f"{name!r} as {other!r}", "missing_field", name, _renamed(name, other)
    for number in range(8):
        yield f"future {number}", "future_time", b"ts", _future
    for number in range(len(_keys("A"))):
        yield f"key {number}", "key_mismatch", b"key", _key(number)


def _padded(text: bytes, size: int, pad: bytes) -> bytes:
    return text + pad * (size - len(text))


def _inside(text: bytes, extra: bytes) -> bytes:
    """The tick with one more field."""
    return text.rstrip()[:-1] + b',"extra":' + extra + b"}"


def _cut_anywhere(chance: random.Random, text: bytes) -> bytes:
    return text[: chance.randrange(text.rindex(b"}"))]


def _noise(chance: random.Random, _text: bytes) -> bytes:
    return b"\xff" + chance.randbytes(chance.randrange(300))


def _one_byte(chance: random.Random, text: bytes) -> bytes:
    """A byte that may stand nowhere in JSON, somewhere in the tick."""
    at = chance.randrange(text.rindex(b"}"))
    return text[:at] + bytes([chance.choice((0x00, 0x01, 0x1B, 0x7F + 1, 0xFE, 0xFF))]) + text[at:]


class _Trap:
    """Would be known by a file if anything unpickled it."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (eval, ("1/0",))


def _deep(opening: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + (b"1" if b":" in opening else b"") + closing * depth


SPOILS: Final[dict[str, dict[str, Spoil]]] = {
    "not_json": {
        "tombstone": lambda _r, _t: None,
        "empty": lambda _r, _t: b"",
        "blank": lambda _r, _t: b" \t\r\n ",
        **{f"cut short {n}": _cut_anywhere for n in range(12)},
        **{f"noise {n}": _noise for n in range(4)},
        **{f"one byte {n}": _one_byte for n in range(8)},
        "byte order mark": lambda _r, t: b"\xef\xbb\xbf" + t,
        "utf-16": lambda _r, t: t.decode().encode("utf-16"),
        "utf-32": lambda _r, t: t.decode().encode("utf-32-be"),
        "twice": lambda _r, t: t + t,
        "lines": lambda _r, t: t + b"\n" + t,
        "trailing text": lambda _r, t: t + b"x",
        "trailing NUL": lambda _r, t: t + b"\x00",
        "leading NUL": lambda _r, t: b"\x00" + t,
        "trailing comma": lambda _r, t: t.rstrip()[:-1] + b",}",
        "single quotes": lambda _r, t: t.replace(b'"', b"'"),
        "no quotes": lambda _r, t: t.replace(b'"', b""),
        "equals signs": lambda _r, t: t.replace(b":", b"="),
        "comment": lambda _r, t: t.replace(b"{", b"{/* */", 1),
        "parentheses": lambda _r, t: b"(" + t + b")",
        "schema registry's prefix": lambda _r, t: b"\x00\x00\x00\x00\x07" + t,
        "gzip": lambda _r, t: gzip.compress(t, mtime=0),
        "zlib": lambda _r, t: zlib.compress(t),
        "pickle": lambda _r, _t: pickle.dumps(_Trap()),
        "yaml": lambda _r, _t: b"!!python/object/apply:os.system ['false']",
        "csv": lambda _r, _t: b"A,1.5,1640995200000",
        "xml": lambda _r, _t: b"<?xml version='1.0'?><!DOCTYPE t [<!ENTITY a 'a'>]><t>&a;</t>",
        "python": lambda _r, t: repr(orjson.loads(t)).encode(),
        "opened 60,000 times": lambda _r, _t: b"[" * 60_000,
        "opened objects": lambda _r, _t: b'{"a":' * 12_000,
        "deep list": lambda _r, _t: _deep(b"[", b"]", 30_000),
        "deep objects": lambda _r, _t: _deep(b'{"a":', b"}", 9000),
        "just too deep": lambda _r, _t: _deep(b"[", b"]", DEPTH_LIMIT + 1),
        "deep inside": lambda _r, t: _inside(t, _deep(b"[", b"]", 20_000)),
        "NaN in a field of no matter": lambda _r, t: _inside(t, b"NaN"),
        "bad text in a field of no matter": lambda _r, t: _inside(t, b'"\xc3\x28"'),
        "huge number in a field of no matter": lambda _r, t: _inside(t, b"9" * 60_000),
    },
    "not_object": {
        "in a list": lambda _r, t: b"[" + t + b"]",
        "as text": lambda _r, t: orjson.dumps(t.decode()),
        "null": lambda _r, _t: b"null",
        "true": lambda _r, _t: b"true",
        "number": lambda _r, _t: b"-0.0",
        "large number": lambda _r, _t: b"18446744073709551616",
        "empty text": lambda _r, _t: b' ""',
        "escaped NUL": lambda _r, _t: b'"\\u0000"',
        "empty list": lambda _r, _t: b"[]\n",
        "long list": lambda _r, _t: b"[" + b"0," * 30_000 + b"0]",
        "list of pairs": lambda _r, _t: b'[["symbol","A"],["price",1.5],["ts",1640995200000]]',
        "as deep as allowed": lambda _r, _t: _deep(b"[", b"]", DEPTH_LIMIT),
    },
    "missing_field": {
        "empty object": lambda _r, _t: b"{}",
        "wrapped": lambda _r, t: b'{"payload":' + t + b"}",
        "empty name": lambda _r, t: b'{"":' + t + b"}",
        "many names": lambda _r, _t: b"{%s}" % b",".join(b'"%d":0' % n for n in range(6000)),
        "one name often": lambda _r, _t: b"{%s}" % b",".join([b'"ts":1640995200000'] * 3000),
    },
    "too_large": {
        "a blank too many": lambda _r, t: _padded(t, MAX_TICK_BYTES + 1, b" "),
        "a long field": lambda _r, t: _inside(t, b'"%s"' % (b"x" * MAX_TICK_BYTES)),
        "large noise": lambda r, _t: r.randbytes(MAX_TICK_BYTES + 1 + r.randrange(1000)),
        "large list": lambda _r, _t: b"[" * 100_000,
        "zeros": lambda _r, _t: bytes(MAX_TICK_BYTES + 1),
    },
}


EDITS: Final = tuple(_edits())
_KINDS: Final = (
    *(("edit", str(number)) for number in range(len(EDITS))),
    *(("pair", str(number)) for number in range(100)),
    *((reason, kind) for reason, spoils in SPOILS.items() for kind in spoils),
)


def malformed(seed: int, count: int, symbols: Sequence[str] = SYMBOLS) -> Iterator[Case]:
    """So many broken ticks, the same for the same seed; every kind comes before any comes again."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    made = 0
    while made < count:
        for how, which in chance.sample(_KINDS, len(_KINDS)):
            if made == count:
                return
            made += 1
            draft = _valid(chance, chance.choice(symbols))
            if how in SPOILS:
                spoil = SPOILS[how][which]
                value = spoil(chance, _text(chance, draft))
                yield _case(draft, value, how, which)
            elif how == "edit":
                kind, reason, _, edit = EDITS[int(which)]
                edit(chance, draft)
                yield _case(draft, _text(chance, draft), reason, kind)
            else:
                yield _pair(chance, draft)


def unusual(seed: int, count: int, symbols: Sequence[str] = SYMBOLS) -> Iterator[Case]:
    """Valid ticks that look odd, event times rising by a second for each symbol in turn."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    oddities = itertools.cycle(chance.sample(ODDITIES, len(ODDITIES)))
    for number, symbol, (kind, change) in zip(
        range(count), itertools.cycle(symbols), oddities, strict=False
    ):
        draft = _valid(chance, symbol, START_MS + number // len(symbols) * 1000)
        yield _case(draft, change(chance, _text(chance, draft)), None, kind)


def _often(_chance: random.Random, text: bytes) -> bytes:
    """Every required field twice, the first time with a value that would be refused."""
    names = (b"symbol", b"price", b"ts")
    return b"{" + b"".join(b'"%s":[],' % name for name in names) + text.lstrip()[1:]


def _with_point(_chance: random.Random, text: bytes) -> bytes:
    """An integer is one with a zero fraction too, as JSON Schema counts."""
    return re.sub(rb'("ts"\s*:\s*\d+)', rb"\1.0", text)


ODDITIES: Final[tuple[tuple[str, Callable[[random.Random, bytes], bytes]], ...]] = (
    ("plain", lambda _r, t: t),
    ("blanks around it", lambda _r, t: b"\r\n\t " + t + b" \n"),
    ("one more field", lambda _r, t: _inside(t, b'{"\\ud83d\\ude00":[null,true,-0.0,1e-400]}')),
    ("as large as allowed", lambda _r, t: _padded(t, MAX_TICK_BYTES, b" ")),
    ("as deep as allowed", lambda _r, t: _inside(t, _deep(b"[", b"]", DEPTH_LIMIT - 1))),
    ("every field twice", _often),
    ("a time with a point", _with_point),
    ("escaped names", lambda _r, t: t.replace(b'"price"', b'"\\u0070ric\\u0065"')),
    (
        "control characters in a field of no matter",
        lambda _r, t: _inside(t, b'"\\u001b[2J\\u0000"'),
    ),
)


def _valid(chance: random.Random, symbol: str, ts: int | None = None) -> Draft:
    price = chance.choice(
        (f"{chance.uniform(1, 5e4):.2f}", f"{chance.randrange(1, 50_000)}", "1.5e4", "4E4", "2e+4")
    )
    ts = START_MS + chance.randrange(86_400_000) if ts is None else ts
    fields = [
        (b"symbol", orjson.dumps(symbol)),
        (b"price", price.encode()),
        (b"ts", str(ts).encode()),
    ]
    if chance.random() < 0.5:
        fields.append((b"size", chance.choice((b"0", b"-0.0", b"1", b"2.5e3", b"null", b"1e15"))))
    if chance.random() < 0.5:
        longest = '"{}"'.format("\U0001f4a9" * 64).encode()
        fields.append(
            (b"source", chance.choice((b'""', b'"fuzz"', b"null", b'"\\u0000"', longest)))
        )
    chance.shuffle(fields)
    return Draft(symbol, symbol.encode(), fields)


def _pair(chance: random.Random, draft: Draft) -> Case:
    """Broken in two places: the reason that comes first counts."""
    while True:
        one, other = chance.sample(EDITS, 2)
        # An edit of the symbol may set the key, and a repeated field hides another of its name.
        places = {one[2], other[2]}
        if len(places) == 2 and places != {b"symbol", b"key"}:
            break
    for _, _, _, edit in (one, other):
        edit(chance, draft)
    reason = min(one[1], other[1], key=_RANK.__getitem__)
    return _case(draft, _text(chance, draft), reason, f"{one[0]} and {other[0]}")


def _text(chance: random.Random, draft: Draft) -> bytes:
    comma, colon = chance.choice(((b",", b":"), (b", ", b": "), (b" ,\n\t", b" : ")))
    return b"{" + comma.join(b'"' + n + b'"' + colon + t for n, t in draft.fields) + b"}"


def _case(draft: Draft, value: bytes | None, reason: str | None, kind: str) -> Case:
    return Case(symbol=draft.symbol, key=draft.key, value=value, reason=reason, kind=kind)
