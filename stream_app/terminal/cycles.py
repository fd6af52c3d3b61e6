"""Retrain cycles as a table for the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from stream_app.messages.schemas import RetrainEvent
from stream_app.models.catalog import CATALOG


def history_table(events: list[RetrainEvent]) -> Table:
    """The cycles as a table, oldest first."""
    table = Table(title="Retrain cycles", title_justify="left")
    table.add_column("ended (UTC)", no_wrap=True, min_width=19)
    table.add_column("trigger", no_wrap=True)
    table.add_column("state", min_width=9)
    table.add_column("took", justify="right")
    for name in CATALOG:
        table.add_column(name, justify="right")
    table.add_column("rows", justify="right")
    table.add_column("symbols")
    for event in events:
        took = f"{event.duration_seconds:.1f} s"
        table.add_row(
            event.timestamp[:19],
            event.trigger,
            escape(event.state if not event.reasons else f"{event.state}: {event.reasons[0]}"),
            f"[red]{took}[/]" if event.exceeded else took,
            *(f"{event.model_seconds.get(name, 0.0):.1f} s" for name in CATALOG),
            str(event.rows),
            escape(", ".join(event.symbols[:3]) + (" ..." if len(event.symbols) > 3 else "")),
        )
    return table
