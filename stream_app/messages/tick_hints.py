"""The likely cause of a refusal, in words for its detail: what to set, or what to send. Pure.

Each function gives text to append, empty when nothing is likely. All of it is printable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from stream_app.messages.times import EARLIEST_TS, LATEST_TS, UNITS, TimeUnit, to_ms

REGISTRY_PREFIX_BYTES: Final = 5
"""A zero byte and the four bytes of a schema's number; no JSON begins with a zero byte."""
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff", b"{\x00", b"\x00{\x00")
"""How UTF-16 begins: by a byte order mark, or an object without one."""
_PACKED: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
    b"\x82SNAPPY": "snappy",
}
"""How a value begins that a program compressed itself."""
_NO_NUMBER: Final = re.compile("[^A-Za-z]?-?(NaN|nan|Infinity|Inf|inf)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LITERALS: Final = {None: "null", True: "true", False: "false"}
_SHOWN: Final = 40
"""Characters of a text that are shown, and as how many at most."""
_SHOWN_ASCII: Final = 120
_FIELDS: Final = ("symbol", "price", "ts", "size", "source", "id")
_MAX_DEPTH: Final = 4
_MAX_OBJECTS: Final = 64
"""How much of a large object is searched for an envelope."""


def not_json_hint(value: bytes, error: orjson.JSONDecodeError) -> str:
    """For a value that is not JSON, by where reading it failed."""
    if value.startswith(b"\xef\xbb\xbf"):
        return "; begins with a byte order mark: send UTF-8 without one"
    if value.startswith(_UTF16):
        return "; it is UTF-16, not UTF-8 text: send UTF-8"
    packing = next((name for magic, name in _PACKED.items() if value.startswith(magic)), None)
    if packing is not None:
        return f"; it is {packing}: send JSON, and let the producer's compression.type pack it"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return _prefix_hint(value) or "; it is not UTF-8 text: send JSON in UTF-8"
    return _text_hint(text, error.pos) or _prefix_hint(value)


def _text_hint(text: str, at: int) -> str:
    if _NO_NUMBER.match(text, max(0, at - 1)):
        return "; NaN and Infinity are no JSON: send a number, or leave the field out"
    if at and text[at : at + 1] == "\0":
        return "; a zero byte ends it, as texts end in C: send it without"
    if at and text[at : at + 1] == "{" and _is_object(text[:at]):
        return "; it is several objects: send one a record"
    return ""


def not_object_hint(message: Any) -> str:
    """For JSON that is not an object."""
    if type(message) is list and message and type(message[0]) is dict:
        return "; send one object a record"
    if type(message) is str and _is_object(message):
        return "; it is JSON inside a text: encode it once"
    return ""


def _is_object(text: str) -> bool:
    try:
        return type(orjson.loads(text)) is dict
    except orjson.JSONDecodeError:
        return False


def _prefix_hint(value: bytes) -> str:
    if not value.startswith(b"\x00") or len(value) <= REGISTRY_PREFIX_BYTES:
        return ""
    try:
        orjson.loads(value[REGISTRY_PREFIX_BYTES:])
    except orjson.JSONDecodeError:
        return (
            "; begins like a schema registry's five bytes, but no JSON follows them: "
            "send JSON, not Avro or Protobuf"
        )
    return (
        '; begins with a schema registry\'s five bytes: set TICK_FIELDS={"price":"price"} or any '
        "other mapping, and they are skipped"
    )


def json_kind(value: Any) -> str:
    """What a value is in JSON's words, with the value itself where it is short.

    >>> print(json_kind("a" * 50), json_kind(None), json_kind([1]), json_kind(1.5), sep="; ")
    text 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'...; null; an array; the number 1.5
    """
    if type(value) is str:
        return f"text {ascii(value[:_SHOWN])[:_SHOWN_ASCII]}{'...' if len(value) > _SHOWN else ''}"
    if type(value) is dict:
        return "an object"
    if type(value) is list:
        return "an array"
    return _LITERALS[value] if value is None or type(value) is bool else f"the number {value!r}"


def names_hint(message: dict[str, Any]) -> str:
    """For an object without a field: where the fields may be instead."""
    for path, inner in _objects(message):
        if all(name in inner for name in ("symbol", "price", "ts")):
            mapping = {name: f"{path}.{name}" for name in _FIELDS if name in inner}
            text = f"; the tick is in {path!r}: set TICK_FIELDS={orjson.dumps(mapping).decode()}"
            return text if text.isprintable() and len(text) < 300 else ""
    if not message:
        return ""
    names = ", ".join(ascii(name[:20]) for name in list(message)[:8])[:160]
    return f"; the object has {names}: name its fields with TICK_FIELDS"


def _objects(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects inside an object with their paths, the outermost first, up to some number."""
    waiting = [("", message)]
    for _ in range(_MAX_OBJECTS):
        if not waiting:
            return
        path, outer = waiting.pop(0)
        for name, inner in list(outer.items())[:_MAX_OBJECTS]:
            if type(inner) is dict and name and "." not in name:
                place = f"{path}.{name}" if path else name
                yield place, inner
                if place.count(".") < _MAX_DEPTH:
                    waiting.append((place, inner))


def type_hint(name: str, value: object) -> str:
    """For a field of another type."""
    if name == "ts" and type(value) is str and (moment := _iso_ms(value)):
        return f"; it is an ISO 8601 time: send epoch milliseconds, here {moment}"
    number = json_number(value) if type(value) is str else value
    if name in ("symbol", "source") and type(value) is int:
        return f'; send it in quotes, "{value}"'
    if type(number) is not int and type(number) is not float:
        is_none = name in ("size", "source", "id") and value in ("", "null", "None", "NaN", "nan")
        return "; where there is none, leave it out or send null" if is_none else ""
    unit = time_hint(number) if name == "ts" else ""
    if type(value) is str and name in ("price", "size", "ts"):
        quoted = f'set TICK_FIELDS={{"{name}":"{name}"}} to read numbers in quotes'
        return f"; it is a number in quotes: {quoted}{unit}"
    if name == "ts" and not unit:
        return '; set TICK_FIELDS={"ts":"ts"} to cut off parts of a millisecond'
    return unit


def _iso_ms(text: str) -> str:
    """A time in ISO 8601 as epoch ms, by its zone, else as if it were UTC; "" where it is none."""
    try:
        moment = datetime.fromisoformat(text) if "-" in text[1:] else None
    except ValueError:
        return ""
    if moment is None:
        return ""
    has_zone = moment.tzinfo is not None
    since = (moment if has_zone else moment.replace(tzinfo=UTC)) - _EPOCH
    return f"{since // timedelta(milliseconds=1)}{'' if has_zone else ' if it is UTC'}"


def future_hint(ts: int, record_ts: int) -> str:
    """The whole detail for a tick that is ahead of its record."""
    return (
        f"ts is {ts}, {(ts - record_ts) / 1000:.0f} s after the record's time {record_ts}: "
        "set the feed's clock, send UTC, or raise MAX_FUTURE_SECONDS"
    )


def json_number(text: str) -> int | float | str:
    """The number that a text is in JSON's notation; the text itself when it is none.

    >>> json_number("0.1"), json_number("12"), json_number("nan"), json_number("1_000")
    (0.1, 12, 'nan', '1_000')
    """
    try:
        number = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return number if type(number) is float or type(number) is int else text


def time_hint(given: float, unit: TimeUnit = "ms") -> str:
    """For a time outside 2000 to 2100: the unit in which it would be inside.

    >>> time_hint(1640995200)
    '; it looks like seconds: set TICK_TIME_UNIT=s'
    """
    for other, name in UNITS.items():
        if other != unit and EARLIEST_TS <= to_ms(given, other) <= LATEST_TS:
            return f"; it looks like {name}: set TICK_TIME_UNIT={other}"
    return ""


def key_hint(key: bytes | None, symbol: str) -> str:
    """The whole detail for a key that is not the symbol."""
    if key is None:
        return f"no key for symbol {symbol!r}: send the symbol as the key, or set TICK_KEY=ignored"
    detail = f"{key[:80]!r} for symbol {symbol!r}"
    if key == f'"{symbol}"'.encode():
        return f"{detail}: the key is in quotes; send it without, or set TICK_KEY=ignored"
    if key[REGISTRY_PREFIX_BYTES:] == symbol.encode() and key.startswith(b"\x00"):
        return f"{detail}: the key has a schema registry's five bytes; set TICK_KEY=ignored"
    return f"{detail}: send the symbol as the key, or set TICK_KEY=ignored"
