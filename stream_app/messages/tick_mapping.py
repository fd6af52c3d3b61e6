"""Ticks in the forms of other feeds: other names, units and envelopes. Pure.

A mapping is compiled once, at the start, into one decoder. The contract's own form needs no
mapping, and its decoder is `decode_tick` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Final

import orjson

from stream_app.messages.schemas import Rejection, Tick
from stream_app.messages.tick_hints import (
    REGISTRY_PREFIX_BYTES,
    json_number,
    names_hint,
    time_hint,
)
from stream_app.messages.ticks import (
    checked_tick,
    decode_tick,
    encode_tick,
    json_object,
    tick_fields,
)
from stream_app.messages.times import TimeUnit, from_ms, to_ms

Decoder = Callable[[bytes | None, bytes | None, int, float], Tick | Rejection]
"""As `decode_tick`: value, key, the record's time in ms, how far after it a tick may be in ms."""

Encoder = Callable[[Tick], bytes]

REQUIRED: Final = ("symbol", "price", "ts")
OPTIONAL: Final = ("size", "source", "id")
_ABSENT: Final[Any] = object()
_FIELD_OF: Final = {"bad_symbol": "symbol", "bad_price": "price", "bad_size": "size"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TickMapping:
    """How the ticks of a feed differ from the contract.

    As soon as anything differs, numbers may be in quotes, the five bytes of a schema registry
    are skipped where they are there, and parts of a millisecond are cut off.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    """From the contract's names to the feed's; dots lead into objects. What is not named keeps
    its name at the top. An optional field that is named "" is not read."""
    time_unit: TimeUnit = "ms"
    key_required: bool = True
    """Whether the record's key must be the symbol."""

    @property
    def is_strict(self) -> bool:
        """Whether ticks have the contract's own form."""
        return not self.fields and self.time_unit == "ms" and self.key_required

    def place(self, name: str) -> str:
        """Where a field is read from; "" when it is not read."""
        return self.fields.get(name, name)


def check_fields(fields: Mapping[str, str]) -> None:
    """Refuse what cannot be a mapping.

    Raises:
        ValueError: which name or path is wrong, and what is allowed.

    >>> check_fields({"price": "data.p"})
    """
    for name, path in fields.items():
        if name not in (*REQUIRED, *OPTIONAL):
            allowed = ", ".join((*REQUIRED, *OPTIONAL))
            raise ValueError(f"{name!r} is no field of a tick; allowed are {allowed}")
        if not path and name in OPTIONAL:
            continue
        if not all(path.split(".")):
            raise ValueError(
                f"{name} is read from {path!r}; give a name, or names joined by dots, "
                'such as "data.price"'
            )
    places = {name: fields.get(name, name).split(".") for name in (*REQUIRED, *OPTIONAL)}
    for one, other in permutations(places, 2):
        if places[one][: len(places[other])] == places[other] != [""]:
            raise ValueError(
                f"{one} is read from {'.'.join(places[one])!r} and {other} from "
                f"{'.'.join(places[other])!r}; give each field a place of its own, or name "
                'size, source or id "" where the feed has none'
            )


def decoder_for(mapping: TickMapping) -> Decoder:
    """The decoder for a feed's form. Called once, when a worker or a replay starts.

    >>> decode = decoder_for(TickMapping(fields={"symbol": "s", "price": "p", "ts": "T"}))
    >>> decode(b'{"s":"A","p":"1.50","T":1640995200000}', b"A", 1640995200000, 0.0)
    Tick(symbol='A', price=1.5, ts=1640995200000, size=None, source=None, id=None)
    """
    return decode_tick if mapping.is_strict else _compiled(mapping)


def encoder_for(mapping: TickMapping) -> Encoder:
    """Makes ticks that the mapping's decoder reads. Called once, when a feed starts.

    >>> encoder_for(TickMapping(fields={"price": "d.p"}, time_unit="s"))(
    ...     Tick(symbol="A", price=1.5, ts=1640995200000)
    ... )
    b'{"symbol":"A","d":{"p":1.5},"ts":1640995200.0}'
    """
    if mapping.is_strict:
        return encode_tick

    def encode(tick: Tick) -> bytes:
        message: dict[str, Any] = {}
        for name, value in tick_fields(tick).items():
            *outer, last = mapping.place(name).split(".")
            inner = message
            for part in outer:
                inner = inner.setdefault(part, {})
            if last:
                inner[last] = from_ms(value, mapping.time_unit) if name == "ts" else value
        return orjson.dumps(message)

    return encode


def _compiled(mapping: TickMapping) -> Decoder:
    places = {name: mapping.place(name) for name in (*REQUIRED, *OPTIONAL)}
    symbol_path, price_path, ts_path, size_path, source_path, id_path = (
        tuple(place.split(".")) for place in places.values()
    )
    # Most feeds have all fields in one object: it is found once, and each field looked up in it.
    # The name of a field that is elsewhere is None: it takes a walk of its own.
    envelope = price_path[:-1]
    symbol_name, price_name, ts_name, size_name, source_name, id_name = (
        _name_inside(envelope, place) for place in places.values()
    )
    unit, key_required = mapping.time_unit, mapping.key_required

    def decode(
        value: bytes | None, key: bytes | None, record_ts: int, max_future_ms: float
    ) -> Tick | Rejection:
        prefixed = value is not None and value.startswith(b"\x00")
        message = json_object(value[REGISTRY_PREFIX_BYTES:] if prefixed and value else value)
        if type(message) is Rejection:
            # Of the whole value, so that its detail speaks of the prefix.
            return json_object(value) if prefixed and message.reason == "not_json" else message
        inner = _walk(message, envelope) if envelope else message
        get = inner.get if type(inner) is dict else {}.get
        symbol = get(symbol_name, _ABSENT) if symbol_name else _walk(message, symbol_path)
        price = get(price_name, _ABSENT) if price_name else _walk(message, price_path)
        given = get(ts_name, _ABSENT) if ts_name else _walk(message, ts_path)
        size = get(size_name) if size_name else _walk(message, size_path)
        source = get(source_name) if source_name else _walk(message, source_path)
        id_ = get(id_name) if id_name else _walk(message, id_path)
        if symbol is _ABSENT or price is _ABSENT or given is _ABSENT:
            found = zip(REQUIRED, (symbol, price, given), strict=True)
            name = next(name for name, item in found if item is _ABSENT)
            detail = f"{_shown(name, places)}{names_hint(message)}"
            return Rejection(reason="missing_field", detail=detail)
        if type(price) is str:
            price = json_number(price)
        if type(size) is str:
            size = json_number(size)
        elif size is _ABSENT:
            size = None
        if type(id_) is int:
            id_ = str(id_)  # many venues number their trades
        if type(given) is str:
            given = json_number(given)
        ts = to_ms(given, unit) if type(given) is int or type(given) is float else given
        decoded = checked_tick(
            symbol,
            price,
            ts,
            size,
            None if source is _ABSENT else source,
            None if id_ is _ABSENT else id_,
            key,
            record_ts,
            max_future_ms,
            key_required,
        )
        if isinstance(decoded, Tick):
            return decoded
        return _explained(decoded, given, places, unit)

    return decode


def _name_inside(envelope: tuple[str, ...], place: str) -> Any:
    """The name of a field in the envelope; None for one elsewhere."""
    if not place:
        return _ABSENT  # a name that no object has: the field is not read
    *outer, name = place.split(".")
    return name if tuple(outer) == envelope else None


def _walk(message: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if type(message) is not dict or name not in message:
            return _ABSENT
        message = message[name]
    return message


def _explained(
    rejection: Rejection, given: Any, places: Mapping[str, str], unit: TimeUnit
) -> Rejection:
    """The rejection with the feed's own names and units in its detail."""
    reason, detail = rejection.reason, rejection.detail
    if reason == "bad_time":
        detail = f"{given} as {unit}{time_hint(given, unit)}"
    name = _FIELD_OF.get(reason, "ts" if reason == "bad_time" else detail.partition(" ")[0])
    if reason in ("bad_time", "wrong_type", *_FIELD_OF) and places[name] != name:
        detail += f" ({_shown(name, places)})"
    return Rejection(reason=reason, detail=detail)


def _shown(name: str, places: Mapping[str, str]) -> str:
    """A field with the place that it is read from."""
    place = places[name]
    return name if place == name else f"{name}, read from {ascii(place)[:80]}"
