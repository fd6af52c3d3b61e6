"""The training status of each symbol, from the retrain events. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from stream_app.messages.schemas import RetrainEvent

STOPPED: Final = "the worker was stopped"
"""The reason of a cycle that the worker's end cut off."""
BROKE_OFF: Final = "a fault of stream-app ended the cycle; its traceback is in the worker's log"
"""The reason of a cycle that a fault of this program cut off."""

State = Literal["trained", "pinned", "rejected", "skipped", "failed", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the last event that names a symbol has on it."""

    symbol: str
    state: State
    told_at: datetime
    """When the event was written."""
    since: datetime
    """As `told_at`; of a waiting symbol the time when it came due."""
    has_models: bool
    """Whether this or an earlier event gave it models."""
    reason: str = ""
    """Why it failed, was skipped or rejected."""

    def waits_s(self, now: datetime) -> float:
        """For how long it has been due, if it waits; else 0."""
        return (now - self.since).total_seconds() if self.state == "waiting" else 0.0


def standings(events: Iterable[RetrainEvent]) -> dict[str, Standing]:
    """By symbol, how it stands.

    Args:
        events: of ended cycles of all workers, oldest first.
    """
    found: dict[str, Standing] = {}
    for event in events:
        for standing in _told(event):
            before = found.get(standing.symbol)
            had_models = before is not None and before.has_models
            found[standing.symbol] = replace(standing, has_models=standing.has_models or had_models)
    return found


def _told(event: RetrainEvent) -> Iterable[Standing]:
    at = datetime.fromisoformat(event.timestamp)
    for symbol in event.symbols:
        state: State = "failed"
        if symbol in event.versions:
            state = "trained"
        elif symbol in event.pinned:
            state = "pinned"
        elif symbol in event.rejected:
            state = "rejected"
        elif symbol in event.skipped:
            state = "skipped"
        yield Standing(
            symbol=symbol,
            state=state,
            told_at=at,
            since=at,
            has_models=state in {"trained", "pinned"},
            reason=_reason(event, symbol),
        )
    for symbol, waits_s in event.waiting_seconds.items():
        yield Standing(
            symbol=symbol,
            state="waiting",
            told_at=at,
            since=at - timedelta(seconds=waits_s),
            has_models=False,
        )


def _reason(event: RetrainEvent, symbol: str) -> str:
    """Why a symbol was not trained. A cycle that was cut off has one reason for all its others."""
    if symbol in event.versions or symbol in event.pinned:
        return ""
    for told in (event.skipped, event.rejected):
        if symbol in told:
            return told[symbol]
    begin = f"{symbol}: "
    own = [line.removeprefix(begin) for line in event.reasons if line.startswith(begin)]
    cut_off = [line for line in event.reasons if line in {STOPPED, BROKE_OFF}]
    return next(iter([*own, *cut_off, *event.reasons]), "")
