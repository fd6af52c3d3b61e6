"""What one tick saw when it entered the window, and its way into the models' input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.contexts import bar_vectors, contexts
from stream_app.bars.features import (
    FEATURES,
    LOG_PRICE,
    LOOKBACK,
    VELOCITY,
    FloatArray,
    vectors_of,
)
from stream_app.bars.open_bar import OpenBar
from stream_app.bars.open_bars import OpenBars
from stream_app.bars.window import ClosedBar, Window
from stream_app.compiled import INTS, address_of, compiled, types
from stream_app.messages.schemas import Tick
from stream_app.models.asking import LEVEL
from stream_app.models.base import History, Rows
from stream_app.models.model_set import ModelSet
from stream_app.prediction.state import SymbolState

LATE: Final = "late tick: behind the grace, the window is not changed"
DUPLICATE: Final = "duplicate tick: the window is not changed again"
JUMP: Final = "price jump: the step from the last bar is not believed, and counts as none"
AHEAD: Final = "tick ahead: its time is after its record's, the window waits for later ticks"
MISPLACED: Final = "partition: not the one of the key; set partitioner=murmur2_random"
HISTORY_LOST: Final = "history: a part of it is missing"


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


class ContextCache:
    """The context of a forming bar, made again only when a bar before it has changed."""

    def __init__(self, sequence_length: int) -> None:
        self._history_bars = sequence_length - 1
        self.needed_bars = LOOKBACK + self._history_bars
        """How many bars before the forming one the feature models need."""
        self._contexts: dict[int, Context | None] = {}
        """By revision: of the window's open bars, and of those ahead while there are any."""

    def context_of(self, window: Window, open_bars: OpenBars) -> Context | None:
        """The context of the newest of the open bars; None while too few bars are before it."""
        revision = open_bars.revision
        if revision not in self._contexts:
            kept = window.main.revision
            self._contexts = {key: made for key, made in self._contexts.items() if key == kept}
            self._contexts[revision] = self._made(window, open_bars)
        return self._contexts[revision]

    def _made(self, window: Window, open_bars: OpenBars) -> Context | None:
        bars = window.columns(self.needed_bars, pending=open_bars.bars[:-1])
        if len(bars) < self.needed_bars:
            return None
        bars = bars.without_jumps()
        vector = contexts(
            bars.log_close[-LOOKBACK:], bars.log_high[-LOOKBACK:], bars.log_low[-LOOKBACK:]
        )[0]
        return Context.of(vector, History(bar_vectors(bars)[-self._history_bars :]))


@dataclass(slots=True, eq=False, kw_only=True)
class Observation:
    """One tick of a batch, with what was known just after it.

    Not frozen: to make a frozen dataclass takes more than twice as long.
    """

    tick: Tick
    left_out: str | None
    """Why the tick did not enter the window; None when it did."""
    bar: OpenBar | None
    """The bar of the window whose latest tick this is."""
    price: float
    """The newest price by event time: of the window, or of the ticks ahead when it is one."""
    log_price: float
    log_high: float
    log_low: float
    level: float
    velocity: float
    innovation: float
    limit: float
    """The largest step since the last close that is believed, a log return."""
    far: float
    """The largest log return over the horizon that a model is believed."""
    jump: float
    """The log return from the filter's prediction where it is a jump, else 0."""
    bar_jumped: bool
    """Whether the price stands beyond `limit` from the last close."""
    context: Context | None
    closed: Sequence[ClosedBar]
    """The bars that this tick closed."""
    history_lost: bool
    dropped_ahead: int
    """How many ticks ahead this tick has contradicted; they are lost."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the answer is less than one to a fresh tick with the whole history."""
        if not (self.history_lost or self.bar_jumped or self.jump or self.left_out):
            return ()  # as nearly all
        found = [HISTORY_LOST] if self.history_lost else []
        if self.bar_jumped or self.jump:
            found.append(JUMP)
        if self.left_out is not None:
            found.append(self.left_out)
        return tuple(found)


PRICE, FAR = range(LEVEL + 1, LEVEL + 3)
"""Rows of `Seen.moments` beyond those of features.py, named as the fields of an observation."""
NO_BAR: Final = -1


class Closing(NamedTuple):
    """What a tick that closed bars leaves for when the models have answered."""

    bars: Sequence[ClosedBar]
    state: SymbolState
    """Without the forecasts."""


class Cut(NamedTuple):
    """A stretch of ticks of one symbol."""

    start: int
    stop: int
    ts_open: int
    """When their bar opens."""
    has_latest: bool
    """Whether one of them is the latest of its bar."""


class Seen:
    """What B ticks saw, in columns; the ticks of one symbol are neighbours."""

    def __init__(self, ts: Sequence[int]) -> None:
        count = len(ts)
        self.ts: NDArray[np.int64] = np.array(ts, dtype=np.int64)
        """Event times, shape (B,)."""
        self.moments = np.empty((9, count))
        """Shape (9, B)."""
        self.bars: NDArray[np.int64] = np.empty(count, dtype=np.int64)
        """Opening time of the window's bar whose latest tick this is, or NO_BAR; shape (B,)."""
        self.contexts: list[tuple[int, Context | None]] = []
        """What the ticks from a place on, up to the next one, are answered from; each symbol
        begins anew."""
        self.closings: dict[int, Closing] = {}
        """By place of the tick."""
        self.reasons: dict[int, tuple[str, ...]] = {}
        """As `Observation.reasons`, of those that have any."""

    def put(self, at: int, item: Observation) -> None:
        """Enter what one tick saw."""
        self.moments[:, at] = (
            item.log_price,
            item.log_high,
            item.log_low,
            item.velocity,
            item.innovation,
            item.limit,
            item.level,
            item.price,
            item.far,
        )
        self.bars[at] = NO_BAR if item.bar is None else item.bar.ts_open
        if reasons := item.reasons:
            self.reasons[at] = reasons

    def cuts(self, starts: Sequence[int], bar_ms: int) -> list[list[Cut]]:
        """The stretches of each symbol: neighbouring ticks of one bar of event time.

        A tick that closes bars is one of its own.

        Args:
            starts: of the symbols, and their end.
            bar_ms: length of a bar.
        """
        ts, bars = self.ts.tolist(), self.bars.tolist()
        found = starts
        if len(starts) <= len(ts):  # some symbol has more than one tick
            begins = np.zeros(len(ts) + 1, dtype=np.bool_)
            alone = [place for at in self.closings for place in (at, at + 1)]
            begins[[*starts, *alone]] = True
            _mark_bars(self.ts, bar_ms, begins)
            found = begins.nonzero()[0].tolist()
        places = set(starts)
        cuts: list[list[Cut]] = []
        for start, stop in pairwise(found):
            if start in places:
                cuts.append([])
            has_latest = bars[start] != NO_BAR or max(bars[start:stop]) != NO_BAR
            cuts[-1].append(Cut(start, stop, ts[start] - ts[start] % bar_ms, has_latest))
        return cuts


@compiled(types.void(INTS, types.int64, types.boolean[::1]))
def _mark_bars(ts: NDArray[np.int64], bar_ms: int, begins: NDArray[np.bool_]) -> None:
    """Mark where ticks are of another bar than the ones before."""
    for at in range(1, len(ts)):
        if ts[at] // bar_ms != ts[at - 1] // bar_ms:
            begins[at] = True


class Part(NamedTuple):
    """Neighbouring ticks of one symbol that share models and context."""

    models: ModelSet
    start: int
    stop: int
    context: Context | None


@dataclass(slots=True, eq=False)
class Asked:
    """What the models are asked about B ticks."""

    moments: FloatArray
    """`Seen.moments`."""
    features: NDArray[np.float32]
    """Shape (B, FEATURES), without meaning where a tick has no context; without rows where none
    has."""
    parts: list[Part]
    """In the order of the ticks; together all of them."""

    def rows(self, part: Part) -> Rows:
        """A part as a member's own input."""
        context, ticks = part.context, slice(part.start, part.stop)
        return Rows(
            log_price=self.moments[LOG_PRICE, ticks],
            kalman_level=self.moments[LEVEL, ticks],
            kalman_velocity=self.moments[VELOCITY, ticks],
            features=None if context is None else self.features[ticks],
            histories=[] if context is None else [context.history],
            history_index=np.zeros(part.stop - part.start, dtype=np.int64),
        )


def asked_of(seen: Seen, models: Mapping[int, ModelSet]) -> Asked:
    """Which models are asked what, the features of all ticks computed at once.

    Args:
        seen: what the ticks saw.
        models: by place of each symbol's first tick, those that answer it.
    """
    begins = [*[at for at, _ in seen.contexts], len(seen.ts)]
    parts = []
    for (start, context), stop in zip(seen.contexts, begins[1:], strict=True):
        if start in models:
            serving = models[start]
        parts.append(Part(serving, start, stop, context))
    known = [
        (start, stop, context.address) for _, start, stop, context in parts if context is not None
    ]
    if not known:
        return Asked(seen.moments, np.empty((0, FEATURES), dtype=np.float32), parts)
    return Asked(seen.moments, vectors_of(known, seen.ts, seen.moments), parts)
