"""When symbols are due for a training, why, and in which order. Waits for nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from stream_app.clock import Clock
from stream_app.messages.schemas import RetrainTrigger
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.names import made_at
from stream_app.training.plan import Plan, PlanFigures
from stream_app.training.settings import ScheduleSettings

GROWTH: Final = 2.0
"""A window this many times longer than the one learned from is worth a retrain of its own."""
TRIGGERS: Final[tuple[RetrainTrigger, ...]] = ("scheduled", "initial", "growth", "drift")
"""A cycle is named after the first of these that one of its symbols waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A symbol that is due and has not had its turn yet."""

    trigger: RetrainTrigger
    since_s: float
    """Monotonic time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What the next cycle is for."""

    trigger: RetrainTrigger
    pipelines: list[SymbolPipeline]
    """In the order of their turns."""
    plan: PlanFigures | None
    """Where symbols are due one after the other: then there is one."""


class RetrainSchedule:
    """Every interval all symbols are due; in between, those that are new or have grown.

    Symbols that fit into one cycle are due at once. More come due one after the other, evenly over
    the interval, by their plan. A symbol that is due stays so until its turn begins. While that
    runs it does not become due again, whatever happens: it has one turn at a time.
    """

    def __init__(
        self,
        settings: ScheduleSettings,
        clock: Clock,
        *,
        is_starting: Callable[[], bool] = lambda: True,
    ) -> None:
        """Know no symbol yet.

        Args:
            settings: when symbols are due.
            clock: the time.
            is_starting: whether symbols that come are those of a worker's own start, which are due
                at once. Those that come from other workers later are due by their models' age.
        """
        self._is_starting = is_starting
        self._starts = True
        """As said at the last look: what it did not see yet may have come before."""
        self._interval_s = settings.interval_s
        self._min_bars = settings.min_bars
        self._processes = settings.processes
        self._clock = clock
        self._next_s = clock.monotonic() + self._interval_s
        self._plan = Plan(interval_s=settings.interval_s, target_s=settings.target_s)
        self._bars: dict[str, int] = {}
        """By symbol that had a turn in a cycle of this worker, whatever came of it: how long its
        window was."""
        self._waiting: dict[str, Waiting] = {}
        self._in_turn: set[str] = set()
        """Symbols that are being trained, gone ones too: none of them becomes due meanwhile."""
        self._early_every_s = settings.early_every_s
        self._early: dict[str, float] = {}
        """When each symbol was last asked for early, monotonic."""
        self._ready: frozenset[str] = frozenset()
        """Symbols that could be trained at the last look."""

    def due(self, here: Mapping[str, SymbolPipeline]) -> Due | None:
        """Whether a cycle should start now, why, and for which symbols, in their order.

        The symbol whose models are the oldest goes first, before all others one that has none. A
        turn that failed counts as well: a symbol whose job hangs does not hold up the others
        again and again. With a plan, those that were not planned go before those that were, for as
        long as none of these misses its deadline.

        Args:
            here: the symbols of this worker. Others are forgotten: should one come back, another
                worker may have trained it meanwhile.
        """
        ready = {
            name: item
            for name, item in here.items()
            if len(item.window) >= self._min_bars and item.has_news
        }
        now_s = self._clock.monotonic()
        self._look(here, ready, now_s)
        if self._plan.is_staggered:
            self._note_planned(now_s)
        else:
            self._note_round(ready, now_s)
        starts, self._starts = self._starts, self._starts and self._is_starting()
        self._note_unplanned(ready, now_s, starts=starts)
        if not self._waiting:
            return None
        if self._plan.is_staggered:
            name = self._first(now_s)
            trigger = self._waiting[name].trigger
            return Due(trigger=trigger, pipelines=[ready[name]], plan=self._figures(name, now_s))
        wanted = {item.trigger for item in self._waiting.values()}
        trigger = next(each for each in TRIGGERS if each in wanted)
        pipelines = [ready[name] for name in sorted(self._waiting, key=self._age_key)]
        return Due(trigger=trigger, pipelines=pipelines, plan=None)

    def _look(
        self, here: Mapping[str, SymbolPipeline], ready: Mapping[str, SymbolPipeline], now_s: float
    ) -> None:
        """Forget who has gone, and take note of who has come with models."""
        if not self._bars.keys() | self._early.keys() <= here.keys():
            self._bars = {name: bars for name, bars in self._bars.items() if name in here}
            self._early = {name: at_s for name, at_s in self._early.items() if name in here}
        self._ready = frozenset(ready)
        self._waiting = {name: item for name, item in self._waiting.items() if name in ready}
        if found := list(self._came(ready, now_s)):
            self._plan.know(found)
        was_staggered = self._plan.is_staggered
        self._plan.keep(ready.keys(), now_s)
        if was_staggered and not self._plan.is_staggered:
            self._next_s = (self._plan.oldest_s or now_s) + self._interval_s

    def _came(
        self, ready: Mapping[str, SymbolPipeline], now_s: float
    ) -> Iterator[tuple[str, float, float]]:
        now = self._clock.now()
        for name, item in ready.items():
            if self._plan.knows(name):
                continue
            made = made_at(item.models.version)
            if made is not None:
                age_s = max(0.0, (now - made).total_seconds())
                yield name, now_s - age_s, item.models.trained_in_s / self._processes

    def _note_planned(self, now_s: float) -> None:
        for name in self._plan.newly_due(self._waiting.keys() | self._in_turn, now_s):
            self._waiting[name] = Waiting(trigger="scheduled", since_s=now_s)

    def _note_round(self, ready: Mapping[str, SymbolPipeline], now_s: float) -> None:
        """Let all be due at once when the interval has passed."""
        if not ready or now_s < self._next_s:
            return
        for name in ready:
            if name in self._in_turn:
                continue  # due when its models are as old: `_note_unplanned`
            since = self._waiting.get(name, Waiting(trigger="scheduled", since_s=now_s))
            self._waiting[name] = replace(since, trigger="scheduled")
        # Missed times are made up by one round.
        missed = (now_s - self._next_s) // self._interval_s
        self._next_s += (missed + 1) * self._interval_s

    def _note_unplanned(
        self, ready: Mapping[str, SymbolPipeline], now_s: float, *, starts: bool
    ) -> None:
        """Let those be due that have no models, have grown, or came with models that are old."""
        for name, item in ready.items():
            if name in self._waiting or name in self._in_turn:
                continue
            bars, has_models = self._bars.get(name), self._plan.knows(name)
            if bars is None and has_models and not starts:
                bars = self._bars[name] = _learned_from(item)
            if bars is None:
                if not (self._plan.is_staggered and has_models):
                    self._waiting[name] = Waiting(trigger="initial", since_s=now_s)
            elif len(item.window) >= GROWTH * bars:
                self._waiting[name] = Waiting(trigger="growth", since_s=now_s)
            elif not self._plan.is_staggered and self._is_old(name, now_s):
                self._waiting[name] = Waiting(trigger="scheduled", since_s=now_s)

    def _is_old(self, name: str, now_s: float) -> bool:
        """Whether another worker, or a silence, has kept a symbol from its round."""
        return self._plan.knows(name) and now_s - self._plan.trained_s(name) >= self._interval_s

    def _first(self, now_s: float) -> str:
        """Whose turn is next where one symbol is due after the other."""
        scheduled = [name for name, item in self._waiting.items() if item.trigger == "scheduled"]
        unplanned = [name for name, item in self._waiting.items() if item.trigger != "scheduled"]
        if not scheduled or (unplanned and self._plan.has_time_for_another(now_s)):
            return min(unplanned, key=self._age_key)
        return min(scheduled, key=self._age_key)

    def _age_key(self, name: str) -> tuple[float, float]:
        return self._plan.trained_s(name), self._waiting[name].since_s

    def _figures(self, name: str, now_s: float) -> PlanFigures:
        return self._plan.figures(now_s, waiting=len(self._waiting), name=name)

    def plan(self) -> PlanFigures | None:
        """How the plan stands; None where all symbols fit into one cycle."""
        if not self._plan.is_staggered:
            return None
        return self._plan.figures(self._clock.monotonic(), waiting=len(self._waiting))

    @property
    def needed_s(self) -> float:
        """How long training all symbols once keeps the pool busy; 0 before that is known."""
        return self._plan.busy_s

    def ask(self, name: str) -> bool:
        """Let a symbol be due early, at most once in the set time; whether it is for this.

        Not while it is trained: that turn learns from what has changed already.
        """
        now_s = self._clock.monotonic()
        last_s = self._early.get(name)
        if name not in self._ready or name in self._waiting or name in self._in_turn:
            return False
        if last_s is not None and now_s < last_s + self._early_every_s:
            return False
        self._early[name] = now_s
        self._waiting[name] = Waiting(trigger="drift", since_s=now_s)
        return True

    def turn_begins(self, symbol: str, bars: int) -> None:
        """Note that a symbol's training begins, before its outcome is known; `turn_ends` follows.

        A symbol that fails is due again at the next interval or when its window has grown, not
        at once.

        Args:
            symbol: as `due` gave it.
            bars: the length of the window that it learns from.
        """
        self._bars[symbol] = bars
        self._in_turn.add(symbol)
        self._plan.begins(symbol, self._clock.monotonic())
        self._waiting.pop(symbol, None)

    def turn_ends(self, symbol: str) -> None:
        """Note that a symbol's turn is over, however it ended: it may become due again."""
        self._in_turn.discard(symbol)

    def turn_took(self, symbol: str, seconds: float) -> None:
        """Note how long a symbol's turn kept the pool busy."""
        self._plan.took(symbol, seconds)

    def waiting_seconds(self) -> dict[str, float]:
        """By symbol, for how long it has been due without a turn; the longest first."""
        now_s = self._clock.monotonic()
        waits = {name: round(now_s - item.since_s, 3) for name, item in self._waiting.items()}
        return dict(sorted(waits.items(), key=lambda wait: -wait[1]))


def _learned_from(item: SymbolPipeline) -> int:
    """How many bars of a window its models have seen, as far as the window still tells."""
    times = item.window.columns().ts_last
    seen = int(np.searchsorted(times, item.models.trained_to_ts, side="right"))
    return seen or len(times)
