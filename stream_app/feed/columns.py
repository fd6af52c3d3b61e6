"""Which column of a file is what: recognised by its usual names, or mapped by the user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from stream_app.errors import SourceError

Kind = Literal["ticks", "bars"]

_VOLUME = ("volume", "vol", "v", "size", "qty", "q", "quantity", "amount")
USUAL_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "time": (
        *("timestamp", "time", "date", "datetime", "ts", "t", "opentime", "eventtime"),
        *("tradetime", "starttime", "unix", "unixtime", "unixtimestamp", "epoch", "epochms"),
        *("timestampms", "timestamputc", "timeutc", "datetimeutc"),
    ),
    "symbol": ("symbol", "sym", "ticker", "instrument", "pair"),
    "price": ("price", "last", "lastprice", "tradeprice", "px", "p", "close", "c", "closeprice"),
    "size": _VOLUME,
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice"),
    "volume": _VOLUME,
}
"""Role -> names, in lower case without separators."""

_OHLC: Final = ("open", "high", "low", "close")
_ROLES: Final[dict[Kind, tuple[str, ...]]] = {
    "ticks": ("time", "price", "size", "symbol"),
    "bars": ("time", *_OHLC, "volume", "symbol"),
}
_OPTIONAL: Final = frozenset({"size", "volume", "symbol"})
_SHOWN_COLUMNS: Final = 12


@dataclass(frozen=True, slots=True)
class Columns:
    """What a file holds, and at which position each role stands."""

    kind: Kind
    positions: dict[str, int]
    """Role -> position in the file's header, from 0; only roles that the file has."""


def parse_mapping(options: Iterable[str]) -> dict[str, str]:
    """`ROLE=NAME` options as a mapping of role to column name.

    Raises:
        SourceError: an option has no `=`, an unknown role, or a role that was given before.
    """
    mapping: dict[str, str] = {}
    for option in options:
        role, equals, name = option.partition("=")
        role = role.strip().lower()
        if not equals or role not in USUAL_NAMES or not name.strip():
            raise SourceError(
                f"--column {option}: wanted ROLE=NAME with a role of {', '.join(USUAL_NAMES)}; "
                "for example --column time=MyTime"
            )
        if role in mapping:
            raise SourceError(
                f"--column {option}: {role} is already mapped to {mapping[role]!r}; give it once"
            )
        mapping[role] = name.strip()
    return mapping


def find_columns(path: Path, names: Sequence[str], mapping: Mapping[str, str]) -> Columns:
    """Recognise a header. A mapped role wins over the usual names.

    Args:
        path: the file, for the messages.
        names: the header, in the file's order.
        mapping: role -> column name, from `parse_mapping`.

    Raises:
        SourceError: a needed column is absent, two columns could be the same role, a mapped
            column is not there, or the header is both of ticks and of bars.
    """
    candidates = {role: _candidates(path, role, names, mapping) for role in USUAL_NAMES}
    kind = _kind(path, names, mapping, candidates)
    positions: dict[str, int] = {}
    for role in _ROLES[kind]:
        found = candidates[role]
        if len(found) > 1:
            raise SourceError(
                f"{path}: {len(found)} columns could be the {role}: "
                f"{_listed(names[position] for position in found)}; looked for one; choose it "
                f"with --column {role}=NAME"
            )
        if found:
            positions[role] = found[0]
        elif role not in _OPTIONAL:
            raise _missing(path, role, names)
    return Columns(kind, positions)


def _normalised(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _candidates(
    path: Path, role: str, names: Sequence[str], mapping: Mapping[str, str]
) -> list[int]:
    if role not in mapping:
        usual = USUAL_NAMES[role]
        return [place for place, name in enumerate(names) if _normalised(name) in usual]
    found = [place for place, name in enumerate(names) if name.strip() == mapping[role]]
    if not found:
        raise SourceError(
            f"{path}: no column {mapping[role]!r} among {_listed(names)}; looked for it as the "
            f"{role}; write --column {role}=NAME with one of these names"
        )
    return found


def _kind(
    path: Path,
    names: Sequence[str],
    mapping: Mapping[str, str],
    candidates: Mapping[str, list[int]],
) -> Kind:
    """Whether the header is of ticks or of bars: what is mapped decides, else what is there."""
    mapped_bars = [role for role in (*_OHLC, "volume") if role in mapping]
    mapped_ticks = [role for role in ("price", "size") if role in mapping]
    if mapped_bars and mapped_ticks:
        raise SourceError(
            f"{path}: --column maps {mapped_ticks[0]}, of ticks, and {mapped_bars[0]}, of bars; "
            "looked for one kind; map time, price, size, symbol or time, open, high, low, close, "
            "volume, symbol"
        )
    if mapped_bars or mapped_ticks:
        return "bars" if mapped_bars else "ticks"
    # A column of closes is a price only where no better-named one and no open, high or low is.
    prices = [place for place in candidates["price"] if place not in candidates["close"]]
    absent = [role for role in _OHLC if not candidates[role]]
    if not absent and prices:
        raise SourceError(
            f"{path}: both a price ({names[prices[0]]}) and open, high, low, close; looked for "
            f"ticks or bars; choose with --column price={names[prices[0]]} or "
            f"--column close={names[candidates['close'][0]]}"
        )
    if not absent:
        return "bars"
    if not prices and any(candidates[role] for role in ("open", "high", "low")):
        raise SourceError(
            f"{path}: a file of bars without {', '.join(absent)} among {_listed(names)}; looked "
            f"for open, high, low and close; name it with --column {absent[0]}=NAME"
        )
    return "ticks"


def _missing(path: Path, role: str, names: Sequence[str]) -> SourceError:
    usual = USUAL_NAMES[role]
    bars = " (or open, high, low and close)" if role == "price" else ""
    return SourceError(
        f"{path}: no {role} column among {_listed(names)}; looked for {', '.join(usual[:8])} "
        f"and the like{bars}; name it with --column {role}=NAME"
    )


def _listed(names: Iterable[str]) -> str:
    """Column names as found, on one line and not without end."""
    shown = [" ".join(name.split())[:40] or "(no name)" for name in names]
    more = len(shown) - _SHOWN_COLUMNS
    return ", ".join(shown[:_SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")
