"""Which column of a file is what: recognised by its usual names, or mapped by the user."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

from stream_app.errors import SourceError
from stream_app.feed.short_names import short_roles
from stream_app.feed.usual_names import QUOTE_NAMES, USUAL_NAMES, normalised, usual

Kind = Literal["ticks", "bars", "quotes"]

ROLES: Final = tuple(USUAL_NAMES)
OHLC: Final = ("open", "high", "low", "close")
_TICK_ROLES: Final = ("time", "price", "size", "symbol", "id")
_ROLES: Final[dict[Kind, tuple[str, ...]]] = {
    "ticks": _TICK_ROLES,
    "quotes": _TICK_ROLES,
    "bars": ("time", *OHLC, "volume", "symbol"),
}
_OPTIONAL: Final = frozenset({"size", "volume", "symbol", "id"})
_PAIRED: Final = frozenset({"time", "price"})
_SHOWN_COLUMNS: Final = 12
_DATE: Final = re.compile(r"\d{8}|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")
_CLOCK: Final = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?")
_DIGITS: Final = re.compile(r"0|\d{3,6}")
"""A time of day without colons, whose first zeros may be lost."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What a file holds, and at which position each role stands."""

    kind: Kind
    positions: dict[str, int]
    """Role -> position in the file's header, from 0; only roles that the file has."""
    second: dict[str, int] = field(default_factory=dict)
    """Role -> position of the other column, for a time of date and clock, or a middle price."""

    @property
    def used(self) -> list[int]:
        """Every position that has a role, in order."""
        return sorted({*self.positions.values(), *self.second.values()})

    def names(self, header: Sequence[str]) -> dict[str, str]:
        """Role -> the name of its column, `A+B` for two."""
        return {
            role: "+".join(
                shown_name(header, at) for at in (position, self.second.get(role)) if at is not None
            )
            for role, position in self.positions.items()
        }


def parse_mapping(options: Iterable[str]) -> dict[str, str]:
    """`ROLE=NAME` options as a mapping of role to column name.

    >>> parse_mapping(["time=Date+Time", "price=7"])
    {'time': 'Date+Time', 'price': '7'}

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


def find_columns(
    path: Path,
    names: Sequence[str],
    mapping: Mapping[str, str],
    first_row: Sequence[str] = (),
) -> Columns:
    """Recognise a header. A mapped role wins over the usual names.

    Args:
        path: the file, for the messages.
        names: the header, in the file's order.
        mapping: role -> a column's name or number from 1; `A+B` for the two columns of a time, or
            for the bid and ask whose middle is the price; see `Layout.columns`.
        first_row: the values below the header, where they are known. A column of dates and one of
            times of day are one time, and only values tell them apart.

    Raises:
        SourceError: a needed column is absent, two columns could be the same role, a mapped
            column is not there, or the header is both of ticks and of bars.
    """
    second: dict[str, int] = {}
    candidates: dict[str, list[int]] = {}
    mapped = set()
    short = {} if usual("symbol", names) else short_roles(names, first_row)
    for role in USUAL_NAMES:
        found = _mapped(path, role, names, mapping[role]) if role in mapping else []
        if found:
            mapped.add(role)
        if len(found) == 2 and "+" in mapping[role]:
            second[role] = found.pop()
        candidates[role] = found or ([short[role]] if role in short else usual(role, names))
    _pair_of_times(names, first_row, candidates, second)
    kind = _kind(path, names, mapped, candidates)
    if kind == "ticks" and "price" in second:
        kind = "quotes"
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
    return Columns(kind, positions, {role: at for role, at in second.items() if role in positions})


def shown_name(names: Sequence[str], position: int) -> str:
    """A column's name, or its number from 1 where it has none.

    >>> shown_name(["", "Open"], 0), shown_name(["", "Open"], 1)
    ('1', 'Open')
    """
    return names[position].strip() or str(position + 1)


def _mapped(path: Path, role: str, names: Sequence[str], wanted: str) -> list[int]:
    """The positions that a mapping names; none for a pattern that fits no name."""
    if found := _named(names, wanted):
        return found
    if "*" in wanted:
        return []
    left, plus, right = wanted.partition("+")
    if plus and role in _PAIRED:
        both = [_named(names, part.strip()) for part in (left, right)]
        if all(len(part) == 1 for part in both):
            return [both[0][0], both[1][0]]
    raise SourceError(
        f"{path}: no column {wanted!r} among {_listed(names)}; looked for it as the "
        f"{role}; write --column {role}=NAME with one of these names"
    )


def _named(names: Sequence[str], wanted: str) -> list[int]:
    if found := [place for place, name in enumerate(names) if name.strip() == wanted]:
        return found
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return [int(wanted) - 1]
    if "*" in wanted:
        pattern = wanted.lower()
        fitting = [at for at, name in enumerate(names) if fnmatchcase(name.lower(), pattern)]
        return fitting[:1]
    return []


def _pair_of_times(
    names: Sequence[str],
    first_row: Sequence[str],
    candidates: dict[str, list[int]],
    second: dict[str, int],
) -> None:
    """Take a column of dates and a column of times of day for one time."""
    found = candidates["time"]
    if len(found) != 2 or len(first_row) != len(names):
        return
    for date, clock in (found, found[::-1]):
        if not _DATE.fullmatch(first_row[date].strip()):
            continue
        is_named = [normalised(names[place]) for place in (date, clock)] == ["date", "time"]
        of_day = first_row[clock].strip()
        if _CLOCK.fullmatch(of_day) or (is_named and _DIGITS.fullmatch(of_day)):
            candidates["time"], second["time"] = [date], clock


def _kind(
    path: Path,
    names: Sequence[str],
    mapped: set[str],
    candidates: dict[str, list[int]],
) -> Kind:
    """Whether the header is of ticks or of bars: what is mapped decides, else what is there."""
    mapped_bars = [role for role in (*OHLC, "volume") if role in mapped]
    mapped_ticks = [role for role in ("price", "size", "id") if role in mapped]
    if mapped_bars and mapped_ticks:
        raise SourceError(
            f"{path}: --column maps {mapped_ticks[0]}, of ticks, and {mapped_bars[0]}, of bars; "
            "looked for one kind; map time, price, size, id, symbol or time, open, high, low, "
            "close, volume, symbol"
        )
    if mapped_ticks:
        return "ticks"
    # A column of closes is a price only where no better-named one and no open, high or low is.
    prices = [place for place in candidates["price"] if place not in candidates["close"]]
    absent = [role for role in OHLC if not candidates[role]]
    named_price = [place for place in prices if normalised(names[place]) == "price"]
    if absent == ["close"] and len(named_price) == 1:
        candidates["close"] = named_price  # the price of a bar is the last one
        return "bars"
    if mapped_bars:
        return "bars"
    in_order = [place for role in OHLC[:3] for place in candidates[role]] + prices
    if absent == ["close"] and in_order == list(range(in_order[0], in_order[0] + len(OHLC))):
        last = names[prices[0]].strip()
        raise SourceError(
            f"{path}: open, high, low and {last} in the order of bars; looked for bars, or ticks "
            f"with the day's open, high and low; choose with {_option('close', last)} or "
            f"{_option('price', last)}"
        )
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


def _option(role: str, name: str) -> str:
    return f"--column {shlex.quote(f'{role}={name}')}"


def _missing(path: Path, role: str, names: Sequence[str]) -> SourceError:
    known = ", ".join(USUAL_NAMES[role][:8])
    bars = " (or open, high, low and close)" if role == "price" else ""
    remedy = f"--column {role}=NAME"
    if role == "price" and len(names) > len(OHLC):
        remedy += ", or a bar's four with " + " ".join(f"--column {each}=NAME" for each in OHLC)
    by_name = {normalised(name): name.strip() for name in names}
    for bid, ask in QUOTE_NAMES:
        if role == "price" and bid in by_name and ask in by_name:
            remedy += f", or take the middle with --column price={by_name[bid]}+{by_name[ask]}"
    return SourceError(
        f"{path}: no {role} column among {_listed(names)}; looked for {known} "
        f"and the like{bars}; name it with {remedy}"
    )


def _listed(names: Iterable[str]) -> str:
    """Column names as found, on one line and not without end."""
    shown = [" ".join(name.split())[:40] or "(no name)" for name in names]
    more = len(shown) - _SHOWN_COLUMNS
    return ", ".join(shown[:_SHOWN_COLUMNS]) + (f" and {more} more" if more > 0 else "")
