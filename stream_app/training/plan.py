"""The plan of an interval, for more symbols than fit into one cycle. Pure: the time is passed in.

Instead of all at once, symbols come due one after the other, evenly over the interval, the one with
the oldest models first. Each has a deadline: its new models serve before its old ones are two
intervals old. The pace goes up where even steps would miss one, as after an outage.

It is the earliest deadline first, which misses none as long as the work fits at all (Liu and
Layland, "Scheduling Algorithms for Multiprogramming in a Hard-Real-Time Environment", 1973).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Set
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Final

OLDEST: Final = 2.0
"""So many intervals old models are at most, where the symbols fit into the interval."""
AIM: Final = 1.8
"""So many are aimed at: the rest is for trainings that take longer than they did."""
ONE_CYCLE_AGAIN: Final = 0.8
"""Of the target, what symbols that were planned may need to go back to one cycle for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFigures:
    """How the plan stands, and the symbol whose turn begins."""

    symbols: int
    """That are planned."""
    fit: int
    """How many symbols fit into an interval."""
    turn_seconds: float
    """Of the pool, for one symbol; the mean."""
    busy_seconds: float
    """Of the pool, for all of them: of each interval."""
    interval_seconds: float
    waiting: int
    """Symbols that are due and have not had their turn."""
    age_seconds: float | None
    """Since the symbol's last training began, or its models were made; None where there are none,
    or no turn begins."""
    deadline_seconds: float | None
    """In how long that is two intervals ago, below 0 where it is longer ago already."""

    @property
    def is_feasible(self) -> bool:
        """Whether the symbols fit into the interval."""
        return self.symbols <= self.fit

    def as_dict(self) -> dict[str, float]:
        """Those that are known, by name, for a retrain event."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: round(value, 3) for name, value in known.items()}


class Plan:
    """Which symbols come due when, by how long their trainings take.

    Times are monotonic seconds. Call `keep` first in each check of the symbols.
    """

    def __init__(self, *, interval_s: float, target_s: float) -> None:
        """Know no symbol yet.

        Args:
            interval_s: between two trainings of a symbol.
            target_s: symbols that need no more than this are trained in one cycle.
        """
        self._interval_s = interval_s
        self._target_s = target_s
        self._symbols = 0
        self._trained: dict[str, float] = {}
        """By symbol, when its last training began or its models were made; the oldest first."""
        self._costs: dict[str, float] = {}
        """By symbol, how long its last turn kept the pool busy."""
        self._turn_s: float | None = None
        self._slot_s = 0.0
        """When the last symbol came due."""
        self.is_staggered = False
        """Whether the symbols come due one after the other, and not all at once."""

    def keep(self, names: Set[str], now_s: float) -> None:
        """Take these for all symbols there are, and see whether they fit into one cycle."""
        if not self._trained.keys() <= names:
            self._trained = {name: at for name, at in self._trained.items() if name in names}
        if not self._costs.keys() <= names:
            self._costs = {name: cost for name, cost in self._costs.items() if name in names}
        self._symbols = len(names)
        self._turn_s = self._mean_turn_s()
        if self.busy_s > self._target_s and not self.is_staggered:
            self.is_staggered, self._slot_s = True, now_s
        elif self.busy_s <= ONE_CYCLE_AGAIN * self._target_s:
            self.is_staggered = False

    def know(self, trained: Iterable[tuple[str, float, float]]) -> None:
        """Note symbols that were trained before they came here.

        Args:
            trained: of each its name, when its models were made, and how long that kept a pool
                busy, 0 where that is not known.
        """
        for name, at, cost in trained:
            self._trained[name] = at
            if cost > 0:
                self._costs[name] = cost
        self._trained = dict(sorted(self._trained.items(), key=lambda item: item[1]))

    def knows(self, name: str) -> bool:
        """Whether the symbol has models, or had a turn."""
        return name in self._trained

    def trained_s(self, name: str) -> float:
        """When the symbol's last training began, or its models were made; -inf for never."""
        return self._trained.get(name, -math.inf)

    def begins(self, name: str, now_s: float) -> None:
        """Note that the symbol's turn begins."""
        self._trained.pop(name, None)
        self._trained[name] = now_s

    def took(self, name: str, seconds: float) -> None:
        """Note how long a turn kept the pool busy."""
        self._costs[name] = seconds

    @property
    def oldest_s(self) -> float | None:
        """When the oldest models were made; None where there are none."""
        return next(iter(self._trained.values()), None)

    def newly_due(self, waiting: Collection[str], now_s: float) -> list[str]:
        """The symbols that come due now, the oldest first; only where they are staggered.

        Args:
            waiting: those that are due already, or have their turn.
            now_s: monotonic.
        """
        step_s = self._step_s(sum(name not in self._trained for name in waiting), now_s)
        count = math.floor((now_s - self._slot_s) / step_s)
        if count < 1:
            return []
        found = list(islice((name for name in self._trained if name not in waiting), count))
        self._slot_s = self._slot_s + count * step_s if len(found) == count else now_s
        return found

    def has_time_for_another(self, now_s: float) -> bool:
        """Whether all symbols still meet their deadlines if one that is not planned goes first."""
        turn_s = self._turn_s or 0.0
        spare_s = min(
            (
                deadline_s - now_s - place * turn_s
                for place, deadline_s in enumerate(self._deadlines_s(AIM), 1)
            ),
            default=math.inf,
        )
        return spare_s >= turn_s

    def figures(self, now_s: float, *, waiting: int, name: str = "") -> PlanFigures:
        """How it stands.

        Args:
            now_s: monotonic.
            waiting: how many symbols are due.
            name: of the symbol whose turn is about to begin.
        """
        turn_s, at = self._turn_s or 0.0, self._trained.get(name)
        return PlanFigures(
            symbols=self._symbols,
            fit=math.floor(self._interval_s / turn_s) if turn_s else self._symbols,
            turn_seconds=turn_s,
            busy_seconds=self.busy_s,
            interval_seconds=self._interval_s,
            waiting=waiting,
            age_seconds=None if at is None else now_s - at,
            deadline_seconds=None if at is None else at + OLDEST * self._interval_s - now_s,
        )

    @property
    def busy_s(self) -> float:
        """How long training all symbols once keeps the pool busy; 0 before that is known."""
        return self._symbols * (self._turn_s or 0.0)

    def _mean_turn_s(self) -> float | None:
        """Of all symbols. One that was not measured takes the median: another may hang."""
        if not self._costs or not self._symbols:
            return None
        rest = self._symbols - len(self._costs)
        usual = statistics.median(self._costs.values()) if rest else 0.0
        return (sum(self._costs.values()) + rest * usual) / self._symbols

    def _deadlines_s(self, intervals: float) -> Iterable[float]:
        """When models are so many intervals old, the first first.

        Where the symbols do not fit, an interval is as long as one round of all of them.
        """
        interval_s = max(self._interval_s, self.busy_s)
        return (at + intervals * interval_s for at in self._trained.values())

    def _step_s(self, first: int, now_s: float) -> float:
        """From one symbol's coming due to the next: even steps, or shorter ones.

        Args:
            first: how many symbols without models go before them.
            now_s: monotonic.
        """
        turn_s = self._turn_s or 0.0
        needed_s = min(
            (
                (deadline_s - turn_s - now_s) / (place + first)
                for place, deadline_s in enumerate(self._deadlines_s(AIM), 1)
            ),
            default=math.inf,
        )
        even_s = self._interval_s / max(1, len(self._trained))
        return max(min(even_s, needed_s), turn_s / 2)
