"""Names of one letter, as the streams of exchanges have them, where a letter alone says little."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from stream_app.feed.instruments import NO_INSTRUMENTS
from stream_app.messages.symbols import is_symbol

_BINANCE: Final = {"time": "T", "symbol": "s", "price": "p", "size": "q"}
_BINANCE_MARKS: Final = frozenset(("e", "E"))
"""The kind of event and its time, which Binance sends with every trade."""
_BINANCE_IDS: Final = ("a", "t")
"""Of aggregated trades and of trades."""
_SHORT: Final = (("t", "T"), ("p", "c"), ("q", "v"))
"""One each of a time, a price and a size: then `s` is none of these."""


def short_roles(names: Sequence[str], first_row: Sequence[str]) -> dict[str, int]:
    """Role -> position of columns that only their neighbours tell; empty where they do not.

    `s` is a size in some streams and a side in others. It is the symbol only where the time, the
    price and the size have short names too, and it begins with a text that can be a symbol.

    >>> short_roles(["e", "E", "s", "a", "p", "q", "T", "m"], [])
    {'time': 6, 'symbol': 2, 'price': 4, 'size': 5, 'id': 3}
    >>> short_roles(["t", "s", "p", "v"], ["", "ETHUSDT", "", ""])
    {'symbol': 1}
    >>> short_roles(["t", "s", "p", "v"], ["", "buy", "", ""])
    {}

    Args:
        names: the header.
        first_row: the texts below it, where they are known.
    """
    place = {name.strip(): at for at, name in enumerate(names)}
    if len(place) < len(names) or "s" not in place:
        return {}
    if place.keys() >= _BINANCE_MARKS and place.keys() >= set(_BINANCE.values()):
        found = {role: place[name] for role, name in _BINANCE.items()}
        ids = [place[name] for name in _BINANCE_IDS if name in place]
        return {**found, "id": ids[0]} if ids else found
    if not all(any(name in place for name in each) for each in _SHORT):
        return {}
    value = first_row[place["s"]].strip() if len(first_row) == len(names) else ""
    is_text = re.search(r"[^\W\d_]", value) is not None and is_symbol(value)
    if not is_text or value.lower() in NO_INSTRUMENTS:
        return {}
    return {"symbol": place["s"]}
