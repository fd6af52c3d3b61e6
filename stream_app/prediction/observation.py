"""What one tick saw when it entered the window, and its way into the models' input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

import numpy as np

from stream_app.bars.features import (
    CONTEXT,
    LOOKBACK,
    FloatArray,
    Moment,
    bar_vectors,
    contexts,
    vectors,
)
from stream_app.bars.open_bars import OpenBar, OpenBars
from stream_app.bars.window import ClosedBar, Window
from stream_app.messages.schemas import Source, Tick
from stream_app.models.base import History, Rows
from stream_app.prediction.spans import spans
from stream_app.prediction.state import SymbolState

LATE: Final = "late tick: behind the grace, the window is not changed"
DUPLICATE: Final = "duplicate tick: the window is not changed again"
JUMP: Final = "price jump: the step from the last bar is not believed, and counts as none"
AHEAD: Final = "tick ahead: its time is after its record's, the window waits for later ticks"
MISPLACED: Final = "partition: not the one of the key; set partitioner=murmur2_random"
HISTORY_LOST: Final = "history: a part of it is missing"
_NOTHING: Final = np.zeros(CONTEXT)


class Arrival(NamedTuple):
    """A tick and the record that it came in."""

    tick: Tick
    source: Source
    appended_ms: int | None = None
    """When the record was appended to the log, epoch ms; None where there is no log."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What the bars before the forming one give to its ticks."""

    vector: FloatArray
    """Shape (CONTEXT,)."""
    history: History


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
        return Context(vector, History(bar_vectors(bars)[-self._history_bars :]))


@dataclass(slots=True, eq=False, kw_only=True)
class Observation:
    """One tick of a batch, with what was known just after it.

    Not frozen: to make a frozen dataclass takes more than twice as long.
    """

    tick: Tick
    source: Source
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
    state: SymbolState | None
    """When bars were closed; without the forecasts, which are known once the models answered."""
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


def rows_of(runs: Sequence[Sequence[Observation]]) -> list[Rows]:
    """The models' input for each run of observations, the features of all runs computed at once.

    Args:
        runs: of one symbol each; in each all observations have a context, or none has.
    """
    seen = list(chain.from_iterable(runs))
    level, log_price, log_high, log_low, velocity, innovation, limit = np.array(
        [
            [item.level for item in seen],
            [item.log_price for item in seen],
            [item.log_high for item in seen],
            [item.log_low for item in seen],
            [item.velocity for item in seen],
            [item.innovation for item in seen],
            [item.limit for item in seen],
        ]
    )
    moment = Moment(
        ts=np.array([item.tick.ts for item in seen], dtype=np.int64),
        log_price=log_price,
        log_high=log_high,
        log_low=log_low,
        kalman_velocity=velocity,
        kalman_innovation=innovation,
        limit=limit,
    )
    places: dict[Context | None, int] = {}
    at = [places.setdefault(item.context, len(places)) for item in seen]
    features = None
    if [*places] != [None]:
        # What has no context is not answered from features; its row keeps the others' places.
        context = np.array([_NOTHING if item is None else item.vector for item in places])
        features = vectors(context if len(context) == 1 else context[at], moment)
    rows = []
    for run, part in zip(runs, spans(runs), strict=True):
        own: dict[Context | None, int] = {}
        index = [own.setdefault(item.context, len(own)) for item in run]
        histories = [item.history for item in own if item is not None]
        rows.append(
            Rows(
                log_price=moment.log_price[part],
                kalman_level=level[part],
                kalman_velocity=moment.kalman_velocity[part],
                features=features[part] if features is not None and histories else None,
                histories=histories,
                history_index=np.array(index, dtype=np.int64),
            )
        )
    return rows
