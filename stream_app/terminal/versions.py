"""How model versions look in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stream_app.messages.schemas import Champion
from stream_app.terminal.letters import printable
from stream_app.terminal.width import Column, Sheet

if TYPE_CHECKING:
    from stream_app.registry.overview import VersionLine


def versions_sheet(symbols: Mapping[str, Sequence[VersionLine]]) -> Sheet:
    """The versions of symbols, the newest of each first."""
    sheet = Sheet(
        Column(name="symbol", is_head=True),
        Column(name="version", is_head=True),
        Column(name="serves"),
        Column(name="named (UTC)"),
        Column(name="by"),
        Column(name="why", is_long=True),
        Column(name="data to (UTC)"),
        Column(name="rows", is_number=True),
        Column(name="R2 learned from", is_number=True),
    )
    for symbol, lines in symbols.items():
        for line in lines:
            sheet.add(
                symbol,
                line.version,
                _serves(line),
                _short(line.since),
                line.by or "",
                printable(line.why or ""),
                _short(line.data_to) if line.on_disk else "gone",
                "" if line.rows is None else str(line.rows),
                _percent(line.gate.get("ensemble.r2")),
            )
    return sheet


def version_lines(symbol: str, line: VersionLine) -> Iterator[str]:
    """One version with all its figures, as lines of text that only show."""
    yield f"{symbol} {line.version}"
    yield f"  serves        {_serves(line) or 'no'}"
    if line.since:
        why = f": {printable(line.why)}" if line.why else ""
        yield f"  last named    {line.since} by {line.by}{why}"
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
    return printable(
        f"{champion.symbol}: {champion.version} since {champion.since} by {champion.by}{pin}{why}"
    )


def _serves(line: VersionLine) -> str:
    return "pinned" if line.pinned else "yes" if line.serves else ""


def _short(time: str | None) -> str:
    return "" if time is None else time[:19].replace("T", " ")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
