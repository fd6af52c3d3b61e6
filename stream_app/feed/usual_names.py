"""The names that columns usually have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_VOLUME = ("volume", "vol", "v", "size", "qty", "q", "quantity", "amount")
USUAL_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": (
        *("timestamp", "time", "date", "datetime", "ts", "t", "opentime", "eventtime"),
        *("tradetime", "starttime", "unix", "unixtime", "unixtimestamp", "epoch", "epochms"),
        *("timestampms", "timestamputc", "timeutc", "datetimeutc", "gmttime", "localtime"),
        *("windowstart", "transacttime", "timeopen"),
        *("exchangetime", "exchangetimestamp", "timeexchange"),
    ),
    "symbol": ("symbol", "sym", "ticker", "instrument", "pair"),
    "price": (
        *("price", "last", "lastprice", "tradeprice", "px", "p", "close", "c", "closeprice"),
        "closelast",
    ),
    "size": _VOLUME,
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice", "closelast"),
    "volume": _VOLUME,
    "id": ("tradeid", "aggtradeid", "tid"),
}
"""Role -> names, in lower case without separators."""
_SECOND_CHOICE: Final[dict[str, tuple[str, ...]]] = {
    "time": ("dates", "tsevent", "createdtime", "createdat", "siptimestamp", "index"),
    "volume": ("tickvolume", "tickvol"),
}
"""Names that count where a file has none of the usual ones."""
_NAMELESS: Final = "__index_level_0__"
"""What pandas calls an index without a name in Parquet and Feather; in CSV it leaves it empty."""
QUOTE_NAMES: Final = (("bid", "ask"), ("bidprice", "askprice"))


def normalised(name: str) -> str:
    """A name in lower case without separators."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def usual(role: str, names: Sequence[str]) -> list[int]:
    """The positions of the columns that are the role by their names."""
    for known in (USUAL_NAMES[role], _SECOND_CHOICE.get(role, ())):
        if found := [place for place, name in enumerate(names) if normalised(name) in known]:
            return found
    if role == "time":
        nameless = [place for place, name in enumerate(names) if name.strip() == _NAMELESS]
        return nameless or ([0] if names and not names[0].strip() else [])
    return []
