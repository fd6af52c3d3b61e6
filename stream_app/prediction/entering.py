"""The ticks of one symbol on their way into its window and filter. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stream_app.bars.open_bars import OpenBars
from stream_app.messages.arrivals import Arrival, tick_of
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
    """What a batch of one symbol gave beside the predictions."""

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


class Entering:
    """A symbol's ticks of one batch, in the order of their offsets.

    `plain` says what the loop of all symbols may enter, `took` notes what it did, and `go_on`
    enters the rest.
    """

    __slots__ = (
        "_appended",
        "_at",
        "_doubtful",
        "_first",
        "_intake",
        "_keys",
        "_main",
        "_odd",
        "_offsets",
        "_state",
        "_symbol",
        "checkpoint",
        "first_uncovered",
        "has_closed",
        "models",
    )

    def __init__(
        self,
        symbol: str,
        ticks: Sequence[Arrival],
        first: int,
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
            ticks: at least one.
            first: the place of the first one in the batch.
            intake: they enter it.
            models: the champions that answer all of it.
            checkpoint: the state before the first tick, where new champions take over.
            first_uncovered: as of the symbol.
            state: gives the symbol's just after the tick that was entered last.
        """
        self._symbol = symbol
        self._keys, self._offsets, self._appended = zip(*ticks, strict=True)
        self._first = first
        self._intake = intake
        self.models = models
        self.checkpoint = checkpoint
        self.first_uncovered = first_uncovered
        self._state = state
        self._at = 0
        self._main: OpenBars | None = None
        self._doubtful: list[int] = []
        """Of the ticks to come those that may be duplicates, the next one last."""
        self._odd: list[Observation] = []
        self.has_closed = False
        """Whether ticks have closed bars."""

    def plain(self) -> Plain | None:
        """The next ticks that may be plain; None where the next one is not."""
        at, main = self._at, self._intake.window.main
        if main is not self._main:  # at first, and when ticks ahead are confirmed
            self._main = main
            found = main.seen_before(self._keys[at:] if at else self._keys)
            self._doubtful = [at + place for place in reversed(found)]
        doubtful = self._doubtful
        while doubtful and doubtful[-1] < at:
            doubtful.pop()
        stop = doubtful[-1] if doubtful else len(self._keys)
        rules = self._intake.rules(self._keys[at][0], self.models.noise) if stop > at else None
        if rules is None:
            return None
        return Plain(rules.address, self._first + at, self._first + stop, main.newest_ts)

    def took(self, stopped: int, seen: Seen) -> bool:
        """Note what the loop has entered.

        Args:
            stopped: the place of the first tick that it has not.
            seen: the batch's.

        Returns:
            Whether it has entered any.
        """
        at, done = self._at, stopped - self._first
        if done == at:
            return False
        main = self._intake.window.main
        if done - at == len(self._keys):
            main.went_on(self._keys, self._appended)
        else:
            main.went_on(self._keys[at:done], self._appended[at:done])
        self._note(done, self._intake.question(self.models), seen)
        return True

    def go_on(self, plain: PlainTicks, seen: Seen) -> None:
        """Enter all that is left."""
        while self._at < len(self._keys):
            stretch = self.plain()
            if stretch is None or not self.took(plain.enter([stretch])[0], seen):
                self._take_one(seen)

    def _take_one(self, seen: Seen) -> None:
        """Enter one tick of any kind."""
        at = self._at
        place = self._first + at
        tick = tick_of(self._symbol, self._keys[at])
        item = self._intake.take(tick, self._appended[at], self.models)
        seen.put(place, item)
        if item.left_out or item.dropped_ahead or item.jump:
            self._odd.append(item)
        if item.closed:
            self.has_closed = True
            self.first_uncovered = None
            seen.closings[place] = Closing(item.closed, self._state())
        self._note(at + 1, item.question, seen, is_covered=bool(item.closed))

    def _note(
        self, done: int, question: Question, seen: Seen, *, is_covered: bool = False
    ) -> None:
        """Go on behind ticks that are entered, all answered from the same."""
        at, self._at = self._at, done
        if self.first_uncovered is None and not is_covered:
            self.first_uncovered = self._offsets[at]
        if not at or question is not seen.questions[-1][1]:
            seen.questions.append((self._first + at, question))

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
