"""The retrain cycles of all workers, from their events. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from stream_app.messages.codec import require_dated
from stream_app.messages.schemas import RetrainEvent
from stream_app.overview.bound import MOST_SYMBOLS, put_last
from stream_app.overview.inputs import cut
from stream_app.training.standing import Standing, State, standings

KEPT_CYCLES: Final = 200
"""Somewhat more than a week of hourly cycles; less where each symbol has its own cycle."""
SEEN_EVENTS: Final = 20_000
KEPT_REASONS: Final = 5
"""Lines of one cycle: with a thousand symbols it may have a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A cycle that has ended."""

    id: str
    ended: str
    """Wall clock, ISO 8601, UTC."""
    state: str
    trigger: str
    duration_s: float
    target_s: float
    model_seconds: dict[str, float]
    exceeded: bool
    rows: int
    symbols: int
    waiting: int
    rejected: int
    worker: str
    plan: dict[str, float]
    """Its figures, where the worker trains its symbols one after the other."""
    reasons: tuple[str, ...]
    """Why it failed and why models were rejected: the first ones, and how many more there are."""

    @property
    def is_good(self) -> bool:
        """Whether every symbol that had its turn has new models, in time."""
        return self.state == "succeeded" and not self.exceeded


class RetrainLog:
    """The newest cycles, and how each symbol stands with its training."""

    def __init__(self) -> None:
        self.cycles: deque[Cycle] = deque(maxlen=KEPT_CYCLES)
        self.running: dict[str, RetrainEvent] = {}
        """By worker, the cycle that has begun and whose end was not told."""
        self.standings: dict[str, Standing] = {}
        """Of the symbols that were told of last."""
        self.noted = 0
        """Grows with each event."""
        self._seen: dict[tuple[str, str], None] = {}
        """The newest events: more than are read again after an outage of the broker."""

    def take(self, event: RetrainEvent) -> bool:
        """Note an event; False where it was noted before.

        Raises:
            ValueError: its time is not valid.
        """
        require_dated(event)
        if (event.cycle, event.state) in self._seen:
            return False
        self._seen[event.cycle, event.state] = None
        if len(self._seen) > SEEN_EVENTS:
            del self._seen[next(iter(self._seen))]
        self.noted += 1
        if event.state == "started":
            self.running[event.worker] = event
            return True
        if not event.plan:  # a planned one has no start, and runs beside others
            self.running.pop(event.worker, None)
        self.cycles.append(_cycle(event))
        for symbol, told in standings([event]).items():
            before = self.standings.get(symbol)
            had_models = before is not None and before.has_models
            standing = replace(told, has_models=told.has_models or had_models)
            put_last(self.standings, symbol, standing, MOST_SYMBOLS)
        return True

    def under_way(self, now_ms: int, longest_s: float) -> list[RetrainEvent]:
        """The cycles that run. One that would be too long ended untold: its worker was killed.

        Args:
            now_ms: wall clock, epoch milliseconds.
            longest_s: no cycle takes so long.
        """
        since_s = now_ms / 1000 - longest_s
        for worker, event in list(self.running.items()):
            if datetime.fromisoformat(event.timestamp).timestamp() <= since_s:
                del self.running[worker]
        return list(self.running.values())

    @property
    def last(self) -> Cycle | None:
        """The newest cycle that has ended."""
        return self.cycles[-1] if self.cycles else None

    def standing(self, state: State) -> list[Standing]:
        """The symbols whose last training ended so."""
        return [item for item in self.standings.values() if item.state == state]

    def table(self) -> list[dict[str, Any]]:
        """Fit for JSON, oldest cycle first."""
        return [
            {
                "ended": item.ended,
                "state": item.state,
                "trigger": item.trigger,
                "duration_s": item.duration_s,
                "target_s": item.target_s,
                "models": item.model_seconds,
                "exceeded": item.exceeded,
                "rows": item.rows,
                "symbols": item.symbols,
                "waiting": item.waiting,
                "rejected": item.rejected,
                "worker": item.worker,
                "reasons": item.reasons,
            }
            for item in self.cycles
        ]


def _cycle(event: RetrainEvent) -> Cycle:
    return Cycle(
        id=event.cycle,
        ended=event.timestamp,
        state=event.state,
        trigger=event.trigger,
        duration_s=event.duration_seconds,
        target_s=event.target_seconds,
        model_seconds=dict(event.model_seconds),
        exceeded=event.exceeded,
        rows=event.rows,
        symbols=len(event.symbols),
        waiting=len(event.waiting_seconds),
        rejected=len(event.rejected),
        worker=cut(event.worker),
        plan=dict(event.plan),
        reasons=tuple(_first(event)),
    )


def _first(event: RetrainEvent) -> Iterator[str]:
    rejected = (f"{symbol}: rejected: {reason}" for symbol, reason in event.rejected.items())
    reasons = [*event.reasons, *rejected]
    yield from (cut(reason) for reason in reasons[:KEPT_REASONS])
    if len(reasons) > KEPT_REASONS:
        yield f"and {len(reasons) - KEPT_REASONS} more"
