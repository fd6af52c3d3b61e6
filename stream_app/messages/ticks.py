"""Bytes to ticks and back. This is the only place that checks a feed's input.

Nothing is unpickled or evaluated. A record that is not a valid tick becomes a `Rejection` with a
reason code.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from stream_app.messages.schemas import Rejection, Tick

MAX_TICK_BYTES: Final = 64 * 1024
EARLIEST_TS: Final = 946_684_800_000  # 2000-01-01; an earlier time means that a clock was not set
LATEST_TS: Final = (
    4_102_444_800_000  # 2100-01-01; a later time means that the unit is not milliseconds
)
MIN_PRICE: Final = 1e-12
MAX_PRICE: Final = 1e15
SYMBOL_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
SOURCE_MAX_CHARS: Final = 64
ID_MAX_CHARS: Final = 64

REASONS: Final = {
    "too_large": "the value is larger than 64 KiB",
    "not_json": "the value is not JSON (NaN and Infinity are not JSON)",
    "not_object": "the value is JSON but not an object",
    "missing_field": "symbol, price or ts is absent",
    "wrong_type": "the type of a field differs from the contract",
    "bad_symbol": "the symbol is empty, too long or has characters outside A-Z a-z 0-9 . _ : / -",
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
    message: dict[str, Any] = {"symbol": tick.symbol, "price": tick.price, "ts": tick.ts}
    if tick.size is not None:
        message["size"] = tick.size
    if tick.source is not None:
        message["source"] = tick.source
    if tick.id is not None:
        message["id"] = tick.id
    return orjson.dumps(message)


def decode_tick(  # noqa: PLR0911, PLR0912 - one return for each reason reads best flat
    value: bytes | None, key: bytes | None, record_ts: int, max_future_ms: float
) -> Tick | Rejection:
    """Decode a record into a tick, or say why it is not a valid one. Never raises.

    >>> value = b'{"symbol":"BTC-USD","price":1.5,"ts":1640995200000}'
    >>> decode_tick(value, b"BTC-USD", 1_640_995_200_500, 0.0).price
    1.5
    >>> decode_tick(value, b"ETH-USD", 1_640_995_200_500, 0.0).reason
    'key_mismatch'

    Args:
        value: the record's bytes; None is a tombstone.
        key: the record's key, the symbol in UTF-8.
        record_ts: the record's Kafka timestamp, epoch ms. It, and not this machine's clock,
            limits the event time, so that a replay decides as the first run did.
        max_future_ms: how far after `record_ts` the event time may be.
    """
    if value is None:
        return Rejection(reason="not_json", detail="no value (a tombstone)")
    if len(value) > MAX_TICK_BYTES:
        return Rejection(reason="too_large", detail=f"{len(value)} bytes")
    try:
        message = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return Rejection(reason="not_json", detail=str(error))
    if type(message) is not dict:
        return Rejection(reason="not_object", detail=f"a JSON {type(message).__name__}")
    for name in ("symbol", "price", "ts"):
        if name not in message:
            return Rejection(reason="missing_field", detail=name)
    symbol, price, ts = message["symbol"], message["price"], message["ts"]
    size, source, id_ = message.get("size"), message.get("source"), message.get("id")
    if type(symbol) is not str:
        return _wrong_type("symbol", symbol, "a string")
    if type(price) is not float and type(price) is not int:
        return _wrong_type("price", price, "a number")
    if type(ts) is not int and not _is_beyond_64_bits(ts):
        return _wrong_type("ts", ts, "an integer, epoch milliseconds")
    if size is not None and type(size) is not float and type(size) is not int:
        return _wrong_type("size", size, "a number")
    if source is not None and (type(source) is not str or len(source) > SOURCE_MAX_CHARS):
        return _wrong_type("source", source, f"a string of at most {SOURCE_MAX_CHARS} characters")
    if id_ is not None and (type(id_) is not str or len(id_) > ID_MAX_CHARS):
        return _wrong_type("id", id_, f"a string of at most {ID_MAX_CHARS} characters")
    if not SYMBOL_PATTERN.fullmatch(symbol):
        return Rejection(reason="bad_symbol", detail=repr(symbol[:80]))
    if not MIN_PRICE <= price <= MAX_PRICE:
        return Rejection(reason="bad_price", detail=repr(price))
    if size is not None and not 0 <= size <= MAX_PRICE:
        return Rejection(reason="bad_size", detail=repr(size))
    if not EARLIEST_TS <= ts <= LATEST_TS:
        return Rejection(reason="bad_time", detail=str(ts))
    if ts > record_ts + max_future_ms:
        return Rejection(
            reason="future_time", detail=f"{(ts - record_ts) / 1000:.0f} s after the record's time"
        )
    if key != symbol.encode():
        shown = "no key" if key is None else repr(key[:80])
        return Rejection(reason="key_mismatch", detail=f"{shown} for symbol {symbol!r}")
    return Tick(
        symbol=symbol,
        price=float(price),
        ts=ts,
        size=None if size is None else float(size),
        source=source,
        id=id_,
    )


def _is_beyond_64_bits(number: object) -> bool:
    """Whether orjson read an integer as a float because of its size: a wrong time, not type."""
    return type(number) is float and abs(number) >= 2.0**63


def _wrong_type(name: str, value: object, wanted: str) -> Rejection:
    return Rejection(
        reason="wrong_type", detail=f"{name} is {type(value).__name__}, wanted {wanted}"
    )
