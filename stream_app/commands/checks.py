"""What `stream-app verify` judges, from retrain events and predictions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stream_app.messages.schemas import RetrainEvent
from stream_app.terminal.cycles import duration, overfull, shortened, waiting_line
from stream_app.training.standing import STOPPED, Standing, standings


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold on a running system."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A symbol's newest prediction."""

    id: str
    symbol: str
    weights: Mapping[str, float]
    """By model that answered."""
    degraded: Sequence[str]
    at: datetime
    """When the broker appended it."""


def training_checks(
    events: Sequence[RetrainEvent], interval: timedelta, target_s: float, now: datetime
) -> list[Check]:
    """What the retrain events tell.

    Args:
        events: of ended cycles of all workers, oldest first.
        interval: between two trainings of a symbol.
        target_s: within which a cycle must end.
        now: when the checks are made.
    """
    if not events:
        nothing = "no cycle has ended yet"
        names = ("initial training", "LSTM included", "in time", "every symbol")
        return [Check(name, False, nothing) for name in names]
    # Every symbol of a running worker is in one of its events each interval.
    since = datetime.fromisoformat(events[-1].timestamp) - 2 * interval
    here = [item for item in standings(events).values() if item.told_at >= since]
    return [
        _initial(events, here),
        *_last_cycles(events, since, target_s),
        _every_symbol(here, interval, now, list(_overfull(events, since))),
    ]


def _initial(events: Iterable[RetrainEvent], here: Iterable[Standing]) -> Check:
    name = "initial training"
    lacking = [item.symbol for item in here if not item.has_models and item.state != "skipped"]
    if lacking:
        return Check(name, False, f"without models so far: {shortened(lacking)}")
    initial = [event.timestamp for event in events if event.trigger == "initial"]
    return Check(name, True, f"completed at {initial[-1]}" if initial else "completed")


def _last_cycles(
    events: Sequence[RetrainEvent], since: datetime, target_s: float
) -> tuple[Check, Check]:
    """Of the last hourly cycles, all those that were the last one of some symbol."""
    scheduled = [
        event for event in events if event.trigger == "scheduled" and STOPPED not in event.reasons
    ]
    last = {symbol: event for event in scheduled for symbol in event.symbols}
    recent = {
        event.cycle: event
        for event in last.values()
        if datetime.fromisoformat(event.timestamp) >= since
    }
    if recent:
        which = "the last hourly retrain"
        which += f" ({len(recent)} cycles)" if len(recent) > 1 else ""
    else:
        recent = {event.cycle: event for event in events[-1:]}
        which = f"the last {events[-1].trigger} retrain (no hourly one has been due yet)"
    cycles = sorted(recent.values(), key=lambda event: event.timestamp)
    bad = [event for event in cycles if not event.lstm_included or event.state != "succeeded"]
    worst = [*cycles, *bad][-1]
    longest_s = max(event.duration_seconds for event in cycles)
    return (
        Check(
            "LSTM included",
            not bad,
            f"{which} {worst.state}, {'with' if worst.lstm_included else 'without'} the LSTM",
        ),
        Check(
            "in time",
            longest_s <= target_s,
            f"{which} took {longest_s:.1f} s; the target is {target_s:g} s",
        ),
    )


def _overfull(events: Iterable[RetrainEvent], since: datetime) -> Iterator[str]:
    """The workers whose newest plan holds more symbols than fit."""
    newest = {event.worker: event for event in events}
    for worker, event in newest.items():
        too_many = overfull(event.plan)
        if too_many and datetime.fromisoformat(event.timestamp) >= since:
            yield f"{worker} has {too_many}"


def _every_symbol(
    here: Sequence[Standing], interval: timedelta, now: datetime, too_many: Sequence[str]
) -> Check:
    failed = [f"{item.symbol} ({item.reason})" for item in here if item.state == "failed"]
    overdue = [item for item in here if item.waits_s(now) > interval.total_seconds()]
    skipped = [f"{item.symbol} ({item.reason})" for item in here if item.state == "skipped"]
    said = [f"{sum(item.state in ('trained', 'pinned') for item in here)} trained"]
    for state in ("pinned", "rejected"):
        these = [item for item in here if item.state == state]
        if these:
            named = [
                f"{item.symbol} ({item.reason})" if item.reason else item.symbol for item in these
            ]
            said.append(f"{state}: {shortened(named)}")
    if failed:
        said.append(f"failed: {shortened(failed)}")
    if skipped:
        said.append(f"skipped: {shortened(skipped)}")
    if waiting := waiting_line(here, now):
        said.append(waiting)
    if overdue:
        said.append(f"{len(overdue)} for longer than {duration(interval.total_seconds())}")
    said.extend(too_many)
    return Check("every symbol", not (failed or overdue or too_many), "; ".join(said))


def members_check(
    newest: Mapping[str, Answered],
    known: Mapping[str, Standing],
    weights: Mapping[str, float],
    *,
    looked_at: int,
) -> Check:
    """Whether every model with a weight answers in the newest prediction of each symbol.

    A symbol may lack models while its window has too few bars, while it is skipped, and until it
    has a tick after its training; at least one symbol must not.

    Args:
        newest: by symbol, in the order of their time.
        known: by symbol, how it stands with its training.
        weights: of the ensemble, by model; one of weight 0 need not answer.
        looked_at: how many predictions of each partition were searched. Symbols that are not
            among them are named, and judged no more.
    """
    name = "all four models"
    if not newest:
        return Check(name, False, "there is no prediction yet")
    needed = [model for model, weight in weights.items() if weight > 0]
    lacking, young, silent, well = [], [], [], 0
    for symbol, answered in newest.items():
        missing = [model for model in needed if not answered.weights.get(model)]
        standing = known.get(symbol)
        if not missing or (standing is not None and standing.state == "skipped"):
            well += 1
        elif standing is None:
            young.append(symbol)
        elif standing.state in ("trained", "pinned") and answered.at < standing.since:
            silent.append(symbol)
        else:
            lacking.append(f"{symbol} lacks {', '.join(missing)}")
    *_, last = newest.values()
    shown = ", ".join(f"{model} {last.weights.get(model, 0):.2f}" for model in weights)
    why = f" ({'; '.join(last.degraded)})" if last.degraded else ""
    said = [f"weights in {last.id}: {shown}{why}"]
    for words, symbols in (
        ("", lacking),
        ("too few bars yet: ", young),
        ("no tick since their training: ", silent),
        (
            f"not among the newest {looked_at:,} predictions of a partition: ",
            sorted(known.keys() - newest.keys()),
        ),
    ):
        if symbols:
            said.append(f"{words}{shortened(symbols)}")
    said.append(f"{well} of {len(newest.keys() | known.keys())} symbols well")
    return Check(name, well > 0 and not lacking, "; ".join(said))
