"""How retrain cycles look in a terminal, and who waits for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from rich.text import Text

from stream_app.messages.schemas import RetrainEvent
from stream_app.models.catalog import CATALOG
from stream_app.terminal.letters import printable
from stream_app.terminal.width import Column, Sheet
from stream_app.training.standing import Standing

NAMED: Final = 3
"""How many symbols are named. The others are only counted."""


def history_sheet(events: Sequence[RetrainEvent]) -> Sheet:
    """The cycles, oldest first."""
    sheet = Sheet(
        Column(name="ended (UTC)", is_head=True),
        Column(name="trigger", is_head=True),
        Column(name="state", is_long=True),
        Column(name="took", is_number=True),
        *(Column(name=name, is_number=True) for name in CATALOG),
        Column(name="rows", is_number=True),
        Column(name="symbols", is_long=True),
        title="Retrain cycles",
    )
    for event in events:
        sheet.add(
            event.timestamp[:19],
            event.trigger,
            printable("; ".join(_states(event))),
            Text(f"{event.duration_seconds:.1f} s", "red" if event.exceeded else ""),
            *(f"{event.model_seconds.get(name, 0.0):.1f} s" for name in CATALOG),
            str(event.rows),
            shortened(event.symbols),
        )
    return sheet


def _states(event: RetrainEvent) -> Iterable[str]:
    """What there is to say of a cycle, the most important first."""
    yield event.state if not event.reasons else f"{event.state}: {event.reasons[0]}"
    if event.waiting_seconds:
        longest = duration(max(event.waiting_seconds.values()))
        yield f"{len(event.waiting_seconds)} waiting, up to {longest}"
    if too_many := overfull(event.plan):
        yield too_many
    for symbol, reason in event.rejected.items():
        yield f"rejected {symbol}: {reason}"
    if event.pinned:
        yield f"pinned {shortened(event.pinned)}"
    if event.skipped:
        yield f"skipped {shortened(event.skipped)}"
    if event.last_price:
        yield f"last price for a model of {shortened(event.last_price)}"


def overfull(plan: Mapping[str, float]) -> str | None:
    """That a plan holds more symbols than fit into an interval; None where they fit.

    >>> overfull({"symbols": 1400.0, "fit": 1270.0, "interval_seconds": 3600.0})
    '1,400 symbols, of which 1,270 fit into 1 h'
    >>> overfull({"symbols": 1400.0, "fit": 1500.0, "interval_seconds": 3600.0}), overfull({})
    (None, None)
    """
    symbols, fit = plan.get("symbols", 0.0), plan.get("fit", 0.0)
    if symbols <= fit:
        return None
    interval = duration(plan.get("interval_seconds", 0.0))
    return f"{symbols:,.0f} symbols, of which {fit:,.0f} fit into {interval}"


def waiting_line(standings: Iterable[Standing], now: datetime) -> str | None:
    """Which symbols wait for a training and for how long, the longest first; None for nobody."""
    waiting = sorted(
        (item for item in standings if item.state == "waiting"), key=lambda item: item.since
    )
    if not waiting:
        return None
    shown = shortened([f"{item.symbol} {duration(item.waits_s(now))}" for item in waiting])
    return f"waiting for a training: {shown}"


def shortened(symbols: Iterable[str]) -> str:
    """The first few symbols, and how many more there are.

    >>> shortened(["A", "B", "C", "D", "E"])
    'A, B, C and 2 more'
    """
    names = list(symbols)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def duration(seconds: float) -> str:
    """A duration as people say it.

    >>> duration(42.4), duration(62 * 60), duration(3 * 86_400 + 7200)
    ('42 s', '1 h 2 min', '3 d 2 h')
    """
    whole = max(0, round(seconds))
    parts = (
        (whole // 86_400, "d"),
        (whole % 86_400 // 3600, "h"),
        (whole % 3600 // 60, "min"),
        (whole % 60, "s"),
    )
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(
        f"{count} {unit}" for count, unit in parts[first : first + 2] if count or not whole
    )
