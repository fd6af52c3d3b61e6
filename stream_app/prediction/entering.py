"""The ticks of one symbol on their way into its window and filter. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stream_app.bars.open_bars import OpenBars
from stream_app.messages.arrivals import TickKey, tick_of
from stream_app.messages.schemas import Bar, Score
from stream_app.models.model_set import ModelSet
from stream_app.prediction.intake import Intake
from stream_app.prediction.notice import Notice, notices_of
from stream_app.prediction.observation import (
    DUPLICATE,
    LATE,
    Closing,
    Observation,
    Seen,
)
from stream_app.prediction.plain_ticks import Plain, PlainTicks
from stream_app.prediction.question import Question
from stream_app.prediction.state import SymbolState


@dataclass(slots=True, eq=False, kw_only=True)
class SymbolAnswer:
    """The output of a batch of one symbol besides the predictions."""

    bars: list[Bar]
    scores: list[Score]
    """Of the bars whose outcome the ticks have shown."""
    late: int = 0
    duplicates: int = 0
    ahead: int = 0
    """Ticks ahead that ticks of this batch have contradicted."""
    jumps: int = 0
    """Ticks whose price jumped."""
    notices: Sequence[Notice] = ()


class Ticks(NamedTuple):
    """The ticks of a batch in columns of length B; those of one symbol are neighbours."""

    keys: tuple[TickKey, ...]
    offsets: tuple[int, ...]
    appended: tuple[int | None, ...]
    """When their records were appended, epoch ms."""


class Entering:
    """A symbol's ticks of one batch, in the order of their offsets.

    `plain` says what the loop of all symbols may enter, `took` notes what it did, and `go_on`
    enters the rest.
    """

    __slots__ = (
        "_at",
        "_doubtful",
        "_first",
        "_intake",
        "_main",
        "_odd",
        "_state",
        "_stop",
        "_symbol",
        "_ticks",
        "checkpoint",
        "first_uncovered",
        "has_closed",
        "models",
    )

    def __init__(
        self,
        symbol: str,
        ticks: Ticks,
        start: int,
        stop: int,
        *,
        intake: Intake,
        models: ModelSet,
        checkpoint: Sequence[Bar],
        first_uncovered: int | None,
        state: Callable[[], SymbolState],
    ) -> None:
        """Begin before the first tick.

        Args:
            symbol: whose.
            ticks: those of the batch.
            start: the place of the symbol's first one.
            stop: the place after its last one.
            intake: they enter it.
            models: the champions that answer all of it.
            checkpoint: the state before the first tick, where new champions take over.
            first_uncovered: as of the symbol.
            state: gives the symbol's just after the tick that was entered last.
        """
        self._symbol = symbol
        self._ticks = ticks
        self._first = self._at = start
        self._stop = stop
        self._intake = intake
        self.models = models
        self.checkpoint = checkpoint
        self.first_uncovered = first_uncovered
        self._state = state
        self._main: OpenBars | None = None
        self._doubtful: list[int] = []
        """Of the ticks to come those that may be duplicates, the next one last."""
        self._odd: list[Observation] = []
        self.has_closed = False
        """Whether ticks have closed bars."""

    def plain(self) -> Plain | None:
        """The next ticks that may be plain; None where the next one is not."""
        at, main, keys = self._at, self._intake.window.main, self._ticks.keys
        if main is not self._main:  # at first, and when ticks ahead are confirmed
            self._main = main
            found = main.recent.found_in(keys[at : self._stop])
            self._doubtful = [at + place for place in reversed(found)]
        doubtful = self._doubtful
        while doubtful and doubtful[-1] < at:
            doubtful.pop()
        stop = doubtful[-1] if doubtful else self._stop
        rules = self._intake.rules(keys[at][0], self.models.noise) if stop > at else None
        if rules is None:
            return None
        return Plain(rules.address, at, stop, main.newest_ts)

    def took(self, stopped: int, seen: Seen) -> bool:
        """Note what the loop has entered.

        Args:
            stopped: the place of the first tick that it has not.
            seen: the batch's.

        Returns:
            Whether it has entered any.
        """
        at = self._at
        if stopped == at:
            return False
        ticks, intake = self._ticks, self._intake
        intake.window.main.recent.go_on(ticks.keys[at:stopped], ticks.appended[at:stopped])
        self._note(stopped, intake.question(self.models), seen)
        return True

    def go_on(self, plain: PlainTicks, seen: Seen) -> None:
        """Enter all that is left."""
        while self._at < self._stop:
            stretch = self.plain()
            if stretch is None or not self.took(plain.enter([stretch])[0], seen):
                self._take_one(seen)

    def _take_one(self, seen: Seen) -> None:
        """Enter one tick of any kind."""
        at, ticks = self._at, self._ticks
        tick = tick_of(self._symbol, ticks.keys[at])
        item = self._intake.take(tick, ticks.appended[at], self.models)
        seen.put(at, item)
        if item.left_out or item.dropped_ahead or item.jump:
            self._odd.append(item)
        if item.closed:
            self.has_closed = True
            self.first_uncovered = None
            seen.closings[at] = Closing(item.closed, self._state())
        self._note(at + 1, item.question, seen, is_covered=bool(item.closed))

    def _note(self, done: int, question: Question, seen: Seen, *, is_covered: bool = False) -> None:
        """Go on behind ticks that are entered, all answered from the same."""
        at, self._at = self._at, done
        if self.first_uncovered is None and not is_covered:
            self.first_uncovered = self._ticks.offsets[at]
        if at == self._first or question is not seen.questions[-1][1]:
            seen.questions.append((at, question))

    def answer(self) -> SymbolAnswer | None:
        """What is odd about the ticks, counted, and the checkpoint; None for nothing.

        The bars and scores that ticks give come later.
        """
        odd = self._odd
        if not (odd or self.checkpoint or self.has_closed):
            return None
        return SymbolAnswer(
            bars=[*self.checkpoint],
            scores=[],
            late=sum(item.left_out is LATE for item in odd),
            duplicates=sum(item.left_out is DUPLICATE for item in odd),
            ahead=sum(item.dropped_ahead for item in odd),
            jumps=sum(item.jump != 0.0 for item in odd),
            notices=notices_of(self._symbol, odd),
        )
