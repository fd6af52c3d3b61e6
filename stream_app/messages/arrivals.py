"""A batch of records becomes ticks, by symbol. Pure.

Nearly all are plain: the contract's own form, all of its types, all bounds kept, from a key that
has been checked before. They are found out in one pass. Whatever is not plain goes through the
decoder of `tick_mapping.py`, which knows all forms, and alone says why a record is no tick.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from stream_app.messages.records import DeadLetter, Record
from stream_app.messages.schemas import Tick
from stream_app.messages.tick_mapping import TickMapping, decoder_for
from stream_app.messages.ticks import (
    ID_MAX_CHARS,
    MAX_PRICE,
    MAX_TICK_BYTES,
    MIN_PRICE,
    SOURCE_MAX_CHARS,
)
from stream_app.messages.times import EARLIEST_TS, LATEST_TS

TickKey = tuple[int, float, float | None, str | None, str | None]
"""Time, price, size, source and id: all that a tick says but its symbol, and what two reports of
one trade share."""
Arrival = tuple[TickKey, int, int | None]
"""What a tick says, its record's offset, and when that was appended to the log, epoch ms; None
where there is no log. A plain tuple: one is made for each tick."""


def tick_key(tick: Tick) -> TickKey:
    """What two reports of one trade share."""
    return tick.ts, tick.price, tick.size, tick.source, tick.id


def tick_of(symbol: str, key: TickKey) -> Tick:
    """The tick that has this key."""
    ts, price, size, source, id_ = key
    return Tick(symbol=symbol, price=price, ts=ts, size=size, source=source, id=id_)


def arrived(tick: Tick, offset: int, appended_ms: int | None = None) -> Arrival:
    """A tick as it goes into the pipeline."""
    return tick_key(tick), offset, appended_ms


class Decoded(NamedTuple):
    """What records are. Each is in one of the two."""

    ticks: dict[str, list[Arrival]]
    """By symbol, in the order of the records."""
    dead_letters: list[DeadLetter]


class BatchDecoder:
    """Decodes batches of one partition."""

    def __init__(self, mapping: TickMapping, *, max_future_ms: float) -> None:
        """Compile it, once.

        Args:
            mapping: the form in which ticks come.
            max_future_ms: how far after its record's timestamp a tick may be.
        """
        self.decode = decoder_for(mapping)
        """The decoder of one record."""
        self._is_strict = mapping.is_strict
        self._max_future_ms = max_future_ms
        self._symbols: dict[bytes | None, str] = {}
        """By key, the symbols whose ticks have had it."""

    def __call__(self, records: Sequence[Record]) -> Decoded:
        """Sort records into ticks and dead letters. Does not block."""
        ticks: defaultdict[str, list[Arrival]] = defaultdict(list)
        dead_letters = []
        for record in records:
            symbol = self._symbols.get(record.key, "")
            key = self._plain(record, symbol) if symbol else None
            if key is None:
                tick = self.decode(record.value, record.key, record.timestamp, self._max_future_ms)
                if not isinstance(tick, Tick):
                    dead_letters.append(DeadLetter(record=record, rejection=tick))
                    continue
                symbol, key = tick.symbol, tick_key(tick)
                if self._is_strict:
                    self._symbols[record.key] = symbol
            ticks[symbol].append((key, record.offset, record.timestamp))
        return Decoded(dict(ticks), dead_letters)

    def _plain(self, record: Record, symbol: str) -> TickKey | None:
        """What a plain tick of this symbol says; None for any other record."""
        value = record.value
        if value is None or len(value) > MAX_TICK_BYTES:
            return None
        try:
            message = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
        if type(message) is not dict:
            return None
        get = message.get
        price, ts, size, source, id_ = (
            get("price"),
            get("ts"),
            get("size"),
            get("source"),
            get("id"),
        )
        if (
            get("symbol") == symbol
            and type(price) is float
            and MIN_PRICE <= price <= MAX_PRICE
            and type(ts) is int
            and EARLIEST_TS <= ts <= LATEST_TS
            and ts <= record.timestamp + self._max_future_ms
            and (size is None or (type(size) is float and 0 <= size <= MAX_PRICE))
            and (source is None or (type(source) is str and len(source) <= SOURCE_MAX_CHARS))
            and (id_ is None or (type(id_) is str and len(id_) <= ID_MAX_CHARS))
        ):
            return ts, price, size, source, id_
        return None
