"""Texts from topics that would command the terminal only show."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from stream_app.messages.schemas import Champion, RetrainEvent
from stream_app.registry.overview import VersionLine
from stream_app.terminal.cycles import history_sheet
from stream_app.terminal.versions import champion_line, version_lines

EVIL, SHOWN = "red \x1b[31m\nand more", "red \\x1b[31m\\nand more"


def test_why_a_version_serves() -> None:
    said: dict[str, Any] = {
        "version": "v1",
        "since": "2026-01-01T00:00:00+00:00",
        "by": "pin",
        "why": EVIL,
    }
    champion = Champion(symbol="A", pinned=True, worker="w", **said)
    assert champion_line(champion).endswith(f"pinned: {SHOWN}")
    line = VersionLine(made="", serves=True, pinned=True, on_disk=True, **said)
    assert f"  last named    2026-01-01T00:00:00+00:00 by pin: {SHOWN}" in version_lines("A", line)


def test_why_a_cycle_failed() -> None:
    event = RetrainEvent(
        cycle="c",
        state="failed",
        trigger="scheduled",
        timestamp="2026-01-01T00:00:00.000+00:00",
        duration_seconds=1.0,
        lstm_included=True,
        target_seconds=45.0,
        exceeded=False,
        rows=1,
        symbols=("A",),
        worker="w",
        reasons=(EVIL,),
        rejected={"A": EVIL},
    )
    out = StringIO()
    Console(file=out, width=1000).print(history_sheet([event]))
    assert out.getvalue().count(SHOWN) == 2
    assert "\x1b" not in out.getvalue()
