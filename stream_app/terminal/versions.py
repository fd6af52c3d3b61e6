"""How model versions look in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from stream_app.messages.schemas import Champion

if TYPE_CHECKING:
    from stream_app.registry.overview import VersionLine


def versions_table(symbols: Mapping[str, Sequence[VersionLine]]) -> Table:
    """The versions of symbols, the newest of each first."""
    table = Table(box=SIMPLE_HEAD)
    for name in ("symbol", "version", "serves"):
        table.add_column(name, no_wrap=True)
    for name in ("named (UTC)", "by"):
        table.add_column(name)
    table.add_column("why", overflow="fold")
    table.add_column("data to (UTC)")
    for name in ("rows", "R2 learned from"):
        table.add_column(name, justify="right")
    for symbol, lines in symbols.items():
        for number, line in enumerate(lines):
            table.add_row(
                "" if number else escape(symbol),
                line.version,
                _serves(line),
                _short(line.since),
                line.by or "",
                escape(line.why or ""),
                _short(line.data_to) if line.on_disk else "gone",
                "" if line.rows is None else str(line.rows),
                _percent(line.gate.get("ensemble.r2")),
            )
    return table


def version_lines(symbol: str, line: VersionLine) -> Iterator[str]:
    """One version with all its figures, as lines of text."""
    yield f"{symbol} {line.version}"
    yield f"  serves        {_serves(line) or 'no'}"
    if line.since:
        yield f"  last named    {line.since} by {line.by}{f': {line.why}' if line.why else ''}"
    if not line.on_disk:
        yield "  gone from the registry"
        return
    yield f"  learned from  {line.rows} rows, {line.data_from} to {line.data_to}"
    for name, value in line.gate.items():
        yield f"  {name:<24}{value:g}"


def champion_line(champion: Champion) -> str:
    """Who serves a symbol, and why, in one line."""
    pin = ", pinned" if champion.pinned else ""
    why = f": {champion.why}" if champion.why else ""
    return (
        f"{champion.symbol}: {champion.version} since {champion.since} by {champion.by}{pin}{why}"
    )


def _serves(line: VersionLine) -> str:
    return "pinned" if line.pinned else "yes" if line.serves else ""


def _short(time: str | None) -> str:
    return "" if time is None else time[:19].replace("T", " ")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
