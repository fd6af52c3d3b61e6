"""A cycle that runs: its turns, and what has become of them so far."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from stream_app.messages.schemas import RetrainEvent
from stream_app.training.events import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A cycle that runs."""

    started: RetrainEvent
    is_planned: bool
    """Whether it is one of a plan, for one symbol, which publishes only its end."""
    began_s: float
    """Monotonic time."""
    turns: dict[str, asyncio.Task[Outcome]] = field(default_factory=dict)
    """By symbol, in the order in which they began."""
    skipped: dict[str, Outcome] = field(default_factory=dict)

    def outcomes(self, cut_off: str) -> dict[str, Outcome]:
        """Of all turns.

        Args:
            cut_off: what ended those that did not come to an end of their own.
        """
        return self.skipped | {
            symbol: _outcome(symbol, turn, cut_off) for symbol, turn in self.turns.items()
        }


def _outcome(symbol: str, turn: asyncio.Task[Outcome], cut_off: str) -> Outcome:
    if not turn.done() or turn.cancelled():
        return Outcome(failure=cut_off)
    if (error := turn.exception()) is not None:
        return Outcome(failure=f"{symbol}: {type(error).__name__}: {error}")
    return turn.result()
