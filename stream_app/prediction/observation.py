"""What one tick saw when it entered the window, and its way into the models' input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.closed_bars import ClosedBar
from stream_app.bars.features import FEATURES, LOG_PRICE, VELOCITY, FloatArray, fill_vectors
from stream_app.bars.open_bar import OpenBar
from stream_app.compiled import INTS, compiled, types
from stream_app.messages.schemas import Tick
from stream_app.models.asking import LEVEL
from stream_app.models.base import Rows
from stream_app.prediction.question import Question
from stream_app.prediction.state import SymbolState

LATE: Final = "late tick: behind the grace, the window is not changed"
DUPLICATE: Final = "duplicate tick: the window is not changed again"
JUMP: Final = "price jump: the step from the last bar is not believed, and counts as none"
AHEAD: Final = "tick ahead: its time is after its record's, the window waits for later ticks"
MISPLACED: Final = "partition: not the one of the key; set partitioner=murmur2_random"
HISTORY_LOST: Final = "history: a part of it is missing"


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
    question: Question
    """What it is answered from."""
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
        self.stamps = ts
        """Event times, epoch ms."""
        self.ts: NDArray[np.int64] = np.array(ts, dtype=np.int64)
        """The same as an array, shape (B,)."""
        self.moments = np.empty((9, count))
        """Shape (9, B)."""
        self.bars: NDArray[np.int64] = np.empty(count, dtype=np.int64)
        """Opening time of the window's bar whose latest tick this is, or NO_BAR; shape (B,)."""
        self.questions: list[tuple[int, Question]] = []
        """What the ticks from a place on, up to the next one, are answered from; each symbol
        begins again."""
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

    def cuts(self, spans: Sequence[tuple[int, int]], bar_ms: int) -> list[list[Cut]]:
        """The stretches of symbols: neighbouring ticks of one bar of event time.

        A tick that closes bars is one of its own.

        Args:
            spans: where the ticks of each symbol begin and end.
            bar_ms: length of a bar.
        """
        if not spans:
            return []
        ts, bars = self.stamps, self.bars
        begins = np.zeros(len(ts) + 1, dtype=np.bool_)
        begins[[place for at in self.closings for place in (at, at + 1)]] = True
        _mark_bars(self.ts, bar_ms, begins)
        cuts = []
        for first, end in spans:
            inner = () if end - first == 1 else (begins[first + 1 : end].nonzero()[0] + first + 1)
            cuts.append(
                [
                    Cut(
                        start,
                        stop,
                        ts[start] - ts[start] % bar_ms,
                        bars[start:stop].max() != NO_BAR,
                    )
                    for start, stop in pairwise((first, *map(int, inner), end))
                ]
            )
        return cuts


@compiled(types.void(INTS, types.int64, types.boolean[::1]))
def _mark_bars(ts: NDArray[np.int64], bar_ms: int, begins: NDArray[np.bool_]) -> None:
    """Mark where ticks are of another bar than the ones before."""
    for at in range(1, len(ts)):
        if ts[at] // bar_ms != ts[at - 1] // bar_ms:
            begins[at] = True


class Part(NamedTuple):
    """Neighbouring ticks of one symbol that are answered from the same."""

    question: Question
    start: int
    stop: int


class Asked:
    """What the models are asked about B ticks."""

    __slots__ = ("features", "moments", "parts", "table")

    def __init__(
        self, parts: Sequence[Part], moments: FloatArray, features: NDArray[np.float32]
    ) -> None:
        """Take over what is known.

        Args:
            parts: in the order of the ticks; together all of them.
            moments: as `Seen.moments`.
            features: as `features`.
        """
        self.parts, self.moments = parts, moments
        self.features = features
        """Shape (B, FEATURES), without meaning where a tick has no context."""
        self.table: NDArray[np.int64] = np.array(
            [
                (start, stop, question.context_address, question.address)
                for question, start, stop in parts
            ]
        )
        """Of each part where it begins and ends, and the addresses of its context, or 0, and of its
        question: shape (S, 4)."""

    def rows(self, part: Part) -> Rows:
        """A part as a member's own input."""
        context, ticks = part.question.context, slice(part.start, part.stop)
        return Rows(
            log_price=self.moments[LOG_PRICE, ticks],
            kalman_level=self.moments[LEVEL, ticks],
            kalman_velocity=self.moments[VELOCITY, ticks],
            features=None if context is None else self.features[ticks],
            histories=[] if context is None else [context.history],
            history_index=np.zeros(part.stop - part.start, dtype=np.int64),
        )


def asked_of(seen: Seen) -> Asked:
    """What the models are asked about what ticks saw, the features of all computed at once."""
    count = len(seen.ts)
    begins = seen.questions
    stops = [at for at, _ in begins[1:]]
    parts = [
        Part(question, start, stop)
        for (start, question), stop in zip(begins, (*stops, count), strict=True)
    ]
    asked = Asked(parts, seen.moments, np.empty((count, FEATURES), dtype=np.float32))
    fill_vectors(asked.table, seen.ts, seen.moments, asked.features)
    return asked
