"""When symbols are due for a training, why, and in which order. Waits for nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from stream_app.clock import Clock
from stream_app.messages.schemas import RetrainTrigger
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.names import made_at
from stream_app.training.settings import ScheduleSettings

GROWTH: Final = 2.0
"""A window this many times longer than the one learned from is worth a retrain of its own."""
TRIGGERS: Final[tuple[RetrainTrigger, ...]] = ("scheduled", "initial", "growth", "drift")
"""A cycle is named after the first of these that one of its symbols waits for."""
NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A symbol that is due and has not had its turn yet."""

    trigger: RetrainTrigger
    since_s: float
    """Monotonic time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A symbol's last turn in a cycle of this worker, whatever came of it."""

    at: datetime
    bars: int
    """How long its window was."""


class RetrainSchedule:
    """Every interval all symbols are due; in between, those that are new or have grown.

    A symbol that is due stays so until its turn begins. So a cycle that has no time for all of
    them leaves the rest to the next one, which follows at once.
    """

    def __init__(self, settings: ScheduleSettings, clock: Clock) -> None:
        self._interval_s = settings.interval_s
        self._min_bars = settings.min_bars
        self._clock = clock
        self._next_s = clock.monotonic() + self._interval_s
        self._turns: dict[str, Turn] = {}
        self._waiting: dict[str, Waiting] = {}
        self._early_every_s = settings.early_every_s
        self._early: dict[str, float] = {}
        """When each symbol was last asked for early, monotonic."""

    def due(
        self, here: Mapping[str, SymbolPipeline]
    ) -> tuple[RetrainTrigger, list[SymbolPipeline]] | None:
        """Whether a cycle should start now, why, and for which symbols, in their order.

        The symbol whose models are the oldest goes first, before all others one that has none. A
        turn that failed counts as well: a symbol whose job hangs does not hold up the others
        again and again.

        Args:
            here: the symbols of this worker. Others are forgotten: should one come back, another
                worker may have trained it meanwhile.
        """
        ready = {
            name: item
            for name, item in here.items()
            if len(item.window) >= self._min_bars and item.has_news
        }
        self._turns = {name: turn for name, turn in self._turns.items() if name in here}
        self._waiting = {name: item for name, item in self._waiting.items() if name in ready}
        self._note_due(ready)
        if not self._waiting:
            return None
        wanted = {item.trigger for item in self._waiting.values()}
        trigger = next(each for each in TRIGGERS if each in wanted)
        return trigger, self._ordered([ready[name] for name in self._waiting])

    def ask(self, name: str) -> bool:
        """Let a symbol be due early, at most once in the set time; whether it is for this."""
        now_s = self._clock.monotonic()
        last_s = self._early.get(name)
        if name in self._waiting or (last_s is not None and now_s < last_s + self._early_every_s):
            return False
        self._early[name] = now_s
        self._waiting[name] = Waiting(trigger="drift", since_s=now_s)
        return True

    def _note_due(self, ready: Mapping[str, SymbolPipeline]) -> None:
        now_s = self._clock.monotonic()
        if ready and now_s >= self._next_s:
            for name in ready:
                since = self._waiting.get(name, Waiting(trigger="scheduled", since_s=now_s))
                self._waiting[name] = replace(since, trigger="scheduled")
            # Missed times are made up by one round.
            missed = (now_s - self._next_s) // self._interval_s
            self._next_s += (missed + 1) * self._interval_s
        for name, item in ready.items():
            turn = self._turns.get(name)
            if name in self._waiting:
                continue
            if turn is None:
                self._waiting[name] = Waiting(trigger="initial", since_s=now_s)
            elif len(item.window) >= GROWTH * turn.bars:
                self._waiting[name] = Waiting(trigger="growth", since_s=now_s)

    def _ordered(self, waiting: Sequence[SymbolPipeline]) -> list[SymbolPipeline]:
        def key(item: SymbolPipeline) -> tuple[datetime, float]:
            turn = self._turns.get(item.name)
            last = max(turn.at if turn else NEVER, made_at(item.models.version) or NEVER)
            return last, self._waiting[item.name].since_s

        return sorted(waiting, key=key)

    def turn_begins(self, symbol: str, bars: int) -> None:
        """Note that a symbol's training begins, before its outcome is known.

        A symbol that fails is due again at the next interval or when its window has grown, not
        at once.

        Args:
            symbol: as `due` gave it.
            bars: the length of the window that it learns from.
        """
        self._turns[symbol] = Turn(at=self._clock.now(), bars=bars)
        self._waiting.pop(symbol, None)

    def waiting_seconds(self) -> dict[str, float]:
        """By symbol, for how long it has been due without a turn; the longest first."""
        now_s = self._clock.monotonic()
        waits = {name: round(now_s - item.since_s, 3) for name, item in self._waiting.items()}
        return dict(sorted(waits.items(), key=lambda wait: -wait[1]))
