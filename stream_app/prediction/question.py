"""The models' input for a symbol: the bars before the forming one, and the members to run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from stream_app.bars.contexts import bar_vectors, contexts
from stream_app.bars.features import LOOKBACK, FloatArray
from stream_app.bars.open_bars import OpenBars
from stream_app.bars.window import Window
from stream_app.compiled import address_of
from stream_app.models.base import History
from stream_app.models.model_set import ModelSet


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What the bars before the forming one give to its ticks."""

    vector: FloatArray
    """Shape (CONTEXT,)."""
    address: int
    """Of the vector."""
    history: History

    @classmethod
    def of(cls, vector: FloatArray, history: History) -> Self:
        """Note the address."""
        return cls(vector, address_of(vector), history)


class Question:
    """A context and the models that answer from it: made once for many ticks."""

    __slots__ = (
        "_numbers",
        "address",
        "context",
        "context_address",
        "is_odd",
        "models",
        "roster",
        "trained_to_ts",
    )

    def __init__(self, models: ModelSet, context: Context | None, names: tuple[str, ...]) -> None:
        """Find what the loops need.

        Args:
            models: that answer.
            context: None where they answer without features.
            names: of the ensemble's members.
        """
        self.models, self.context = models, context
        self.trained_to_ts = models.trained_to_ts
        self.roster = models.roster(names, has_features=context is not None)
        self.is_odd = bool(self.roster.others or self.roster.reasons)
        """Whether a member is not asked by the loop, or there is something to be said of it."""
        self.context_address = state = 0
        """0 without a context."""
        if context is not None:
            self.context_address = context.address
            if self.roster.remembering is not None:
                state = self.roster.remembering.state_after(context.history)
        self._numbers = np.array([state, *self.roster.kernels], dtype=np.int64)
        """As `asking.ask` takes them."""
        self.address = address_of(self._numbers)


class Questions:
    """The questions of one symbol: a context is made again only when a bar before has changed."""

    def __init__(self, names: tuple[str, ...], sequence_length: int) -> None:
        """Know what the models need.

        Args:
            names: of the ensemble's members.
            sequence_length: of the LSTM, in bars.
        """
        self._names = names
        self._history_bars = sequence_length - 1
        self.needed_bars = LOOKBACK + self._history_bars
        """How many bars before the forming one the feature models need."""
        self._made: dict[int, Question] = {}
        """By revision: of the window's open bars, and of those ahead while there are any."""

    def of(self, window: Window, open_bars: OpenBars, models: ModelSet) -> Question:
        """What ticks of the newest of the open bars are answered from."""
        known = self._made.get(open_bars.revision)
        if known is None or known.models is not models:
            known = self._make(window, open_bars, models, known)
        return known

    def _make(
        self, window: Window, open_bars: OpenBars, models: ModelSet, before: Question | None
    ) -> Question:
        kept = window.main.revision
        self._made = {key: made for key, made in self._made.items() if key == kept}
        context = None if before is None else before.context
        if not models.is_trained:
            context = None
        elif context is None:
            context = self._context(window, open_bars)
        made = self._made[open_bars.revision] = Question(models, context, self._names)
        return made

    def _context(self, window: Window, open_bars: OpenBars) -> Context | None:
        """None while too few bars are before the newest of the open ones."""
        bars = window.columns(self.needed_bars, pending=open_bars.bars[:-1])
        if len(bars) < self.needed_bars:
            return None
        bars = bars.without_jumps()
        vector = contexts(
            bars.log_close[-LOOKBACK:], bars.log_high[-LOOKBACK:], bars.log_low[-LOOKBACK:]
        )[0]
        return Context.of(vector, History(bar_vectors(bars)[-self._history_bars :]))
