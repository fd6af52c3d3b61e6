"""Bytes to ticks and back. This is the only place that checks a feed's input.

Nothing is unpickled or evaluated. A record that is not a valid tick becomes a `Rejection` with a
reason code.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from stream_app.messages.schemas import Rejection, Tick
from stream_app.messages.symbols import is_symbol, symbol_problem
from stream_app.messages.tick_hints import (
    future_hint,
    json_kind,
    key_hint,
    names_hint,
    not_json_hint,
    not_object_hint,
    time_hint,
    type_hint,
)
from stream_app.messages.times import EARLIEST_TS, LATEST_TS

MAX_TICK_BYTES: Final = 64 * 1024
MIN_PRICE: Final = 1e-12
MAX_PRICE: Final = 1e15
SOURCE_MAX_CHARS: Final = 64
ID_MAX_CHARS: Final = 64
EXACT_FLOAT: Final = 2.0**53
"""Below it a float that is an integer is exactly that integer."""

REASONS: Final = {
    "too_large": "the value is larger than 64 KiB",
    "not_json": "the value is not JSON (NaN and Infinity are not JSON)",
    "not_object": "the value is JSON but not an object",
    "missing_field": "symbol, price or ts is absent",
    "wrong_type": "the type of a field differs from the contract",
    "bad_symbol": "the symbol is empty, too long, not printable, not NFC or has white space",
    "bad_price": "the price is zero, negative, infinite or outside 1e-12 to 1e15",
    "bad_size": "the size is negative or infinite",
    "bad_time": "the event time is outside 2000 to 2100: not epoch milliseconds",
    "future_time": "the event time is too far after the record's timestamp",
    "key_mismatch": "the record's key is not the tick's symbol",
}


def encode_tick(tick: Tick) -> bytes:
    """Encode a tick as the JSON of its contract. Optional fields that are not set are left out.

    >>> encode_tick(Tick(symbol="BTC-USD", price=1.5, ts=1_640_995_200_000))
    b'{"symbol":"BTC-USD","price":1.5,"ts":1640995200000}'
    """
    return orjson.dumps(tick_fields(tick))


def tick_fields(tick: Tick) -> dict[str, Any]:
    """A tick's fields by name. Optional fields that are not set are left out."""
    message: dict[str, Any] = {"symbol": tick.symbol, "price": tick.price, "ts": tick.ts}
    if tick.size is not None:
        message["size"] = tick.size
    if tick.source is not None:
        message["source"] = tick.source
    if tick.id is not None:
        message["id"] = tick.id
    return message


def decode_tick(
    value: bytes | None, key: bytes | None, record_ts: int, max_future_ms: float
) -> Tick | Rejection:
    """Decode a record into a tick, or say why it is not a valid one. Never raises.

    >>> value = b'{"symbol":"BTC-USD","price":1.5,"ts":1640995200000}'
    >>> decode_tick(value, b"BTC-USD", 1_640_995_200_500, 0.0).price
    1.5
    >>> decode_tick(value, b"ETH-USD", 1_640_995_200_500, 0.0).reason
    'key_mismatch'

    This is the contract's own form; `tick_mapping.py` reads the forms of other feeds.

    Args:
        value: the record's bytes; None is a tombstone.
        key: the record's key, the symbol in UTF-8.
        record_ts: the record's Kafka timestamp, epoch ms. It, and not this machine's clock,
            limits the event time, so that a replay decides as the first run did.
        max_future_ms: how far after `record_ts` the event time may be.
    """
    message = json_object(value)
    if type(message) is Rejection:
        return message
    for name in ("symbol", "price", "ts"):
        if name not in message:
            return Rejection(reason="missing_field", detail=f"{name}{names_hint(message)}")
    return checked_tick(
        message["symbol"],
        message["price"],
        message["ts"],
        message.get("size"),
        message.get("source"),
        message.get("id"),
        key,
        record_ts,
        max_future_ms,
    )


def json_object(value: bytes | None) -> Any:
    """The JSON object in a record's value, as a dict, or a Rejection."""
    if value is None:
        return Rejection(reason="not_json", detail="no value (a tombstone)")
    if len(value) > MAX_TICK_BYTES:
        return Rejection(reason="too_large", detail=f"{len(value)} bytes")
    try:
        message = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return Rejection(reason="not_json", detail=f"{error}{not_json_hint(value, error)}")
    if type(message) is not dict:
        return Rejection(
            reason="not_object", detail=f"it is {json_kind(message)}{not_object_hint(message)}"
        )
    return message


def checked_tick(  # noqa: PLR0911, PLR0912, PLR0917 - flat and by position: each tick pays for it
    symbol: Any,
    price: Any,
    ts: Any,
    size: Any,
    source: Any,
    id_: Any,
    key: bytes | None,
    record_ts: int,
    max_future_ms: float,
    key_required: bool = True,
) -> Tick | Rejection:
    """Fields as JSON gave them as a tick, or the first reason why they are none. Never raises."""
    if type(symbol) is not str:
        return _wrong_type("symbol", symbol, "a string")
    if type(price) is not float and type(price) is not int:
        return _wrong_type("price", price, "a number")
    if type(ts) is not int:
        # 1640995200000.0 is an integer, as JSON Schema counts.
        if type(ts) is not float or not ts.is_integer():
            return _wrong_type("ts", ts, "an integer, epoch milliseconds")
        if abs(ts) < EXACT_FLOAT:
            ts = int(ts)
    if size is not None and type(size) is not float and type(size) is not int:
        return _wrong_type("size", size, "a number")
    if source is not None and (type(source) is not str or len(source) > SOURCE_MAX_CHARS):
        return _wrong_type("source", source, f"a string of at most {SOURCE_MAX_CHARS} characters")
    if type(id_) is int:  # many venues number their trades
        id_ = str(id_)
    if id_ is not None and (type(id_) is not str or len(id_) > ID_MAX_CHARS):
        return _wrong_type(
            "id", id_, f"a string of at most {ID_MAX_CHARS} characters, or an integer"
        )
    if not is_symbol(symbol):
        return Rejection(
            reason="bad_symbol", detail=f"{ascii(symbol[:80])[:160]}: {symbol_problem(symbol)}"
        )
    if not MIN_PRICE <= price <= MAX_PRICE:
        return Rejection(reason="bad_price", detail=repr(price))
    if size is not None and not 0 <= size <= MAX_PRICE:
        return Rejection(reason="bad_size", detail=repr(size))
    if not EARLIEST_TS <= ts <= LATEST_TS:
        return Rejection(reason="bad_time", detail=f"{ts}{time_hint(ts)}")
    if ts > record_ts + max_future_ms:
        return Rejection(reason="future_time", detail=future_hint(ts, record_ts))
    if key_required and key != symbol.encode():
        return Rejection(reason="key_mismatch", detail=key_hint(key, symbol))
    return Tick(
        symbol=symbol,
        price=float(price),
        ts=ts,
        size=None if size is None else float(size),
        source=source,
        id=id_,
    )


def _wrong_type(name: str, value: object, wanted: str) -> Rejection:
    detail = f"{name} is {json_kind(value)}, wanted {wanted}{type_hint(name, value)}"
    return Rejection(reason="wrong_type", detail=detail)
