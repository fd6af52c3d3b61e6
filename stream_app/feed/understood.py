"""What a file was understood as, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from stream_app.feed.columns import Kind

FROM_NAME: Final = "the file's name"
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the file as a price: a bar's is its close, a quote's the middle."""

    ts: int
    """Epoch ms; a bar's start."""
    price: float
    size: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """How files were read. Many silent errors of a wrong option show here."""

    paths: tuple[Path, ...]
    kind: Kind
    spacing_s: float | None
    """Length of a bar, of the symbol with the longest; median distance between the rows of a
    symbol; None for a single row."""
    rows: int
    skipped: dict[str, int]
    columns: dict[str, str]
    """Role -> name of its column."""
    unused: tuple[str, ...]
    time_format: str
    time_zone: str
    symbols: tuple[str, ...]
    symbol_from: str
    """Where the symbol came from, in words."""
    taken_for: str | None
    """The shipped layout that the file was recognised as."""
    first: Row
    last: Row

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it, under `input`."""
        return {
            "kind": self.kind,
            "spacing_s": self.spacing_s,
            "rows": self.rows,
            "skipped": self.skipped,
            "from": utc_text(self.first.ts),
            "to": utc_text(self.last.ts),
            "columns": self.columns,
            "unused": list(self.unused),
            "time_format": self.time_format,
            "time_zone": self.time_zone,
            "symbols": list(self.symbols),
            "first": _as_dict(self.first),
            "last": _as_dict(self.last),
        }

    def lines(self) -> tuple[str, str]:
        """The same in two lines."""
        name = self.paths[0].name if len(self.paths) == 1 else f"{len(self.paths)} files"
        spacing = ""
        if self.spacing_s is not None:
            spacing = (
                f" of {self.spacing_s:g} s"
                if self.kind == "bars"
                else (f" about {self.spacing_s:g} s apart")
            )
        left_out = ", ".join(f"{count:,} {kind}" for kind, count in self.skipped.items())
        what = f" (taken for {self.taken_for})" if self.taken_for else ""
        columns = ", ".join(f"{role}={column}" for role, column in self.columns.items())
        unused = f", unused: {_listed(self.unused)}" if self.unused else ""
        return (
            f"{name}{what}: {self.rows:,} {self.kind}{spacing}, {utc_text(self.first.ts)} to "
            f"{utc_text(self.last.ts)}"
            + (f", left out: {left_out}" if left_out else "")
            + f"; symbol {_listed(self.symbols)} from {self.symbol_from}",
            f"columns {columns}{unused}; times are {self.time_format}, zone {self.time_zone}",
        )


def utc_text(ts: int) -> str:
    """An event time as ISO 8601, UTC, with milliseconds only where there are some.

    >>> utc_text(1640995200000), utc_text(1640995200250)
    ('2022-01-01T00:00:00Z', '2022-01-01T00:00:00.250Z')
    """
    precision = "milliseconds" if ts % 1000 else "seconds"
    text = datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec=precision)
    return text.replace("+00:00", "Z")


def _as_dict(row: Row) -> dict[str, Any]:
    return {"ts": row.ts, "price": row.price, "size": row.size}


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
