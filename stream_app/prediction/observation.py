"""What one tick saw when it entered the window, and its way into the models' input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

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
from stream_app.bars.window import OpenBar, Window
from stream_app.messages.schemas import Source, Tick
from stream_app.models.base import History, Rows
from stream_app.prediction.spans import spans
from stream_app.prediction.state import SymbolState

LATE: Final = "late tick: behind the grace, the window is not changed"
DUPLICATE: Final = "duplicate tick: the window is not changed again"
MISPLACED: Final = "partition: not the one of the key; set partitioner=murmur2_random"
HISTORY_LOST: Final = "history: a part of it is missing"
_NOTHING: Final = np.zeros(CONTEXT)


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What the bars before the forming one give to its ticks."""

    vector: FloatArray
    """Shape (CONTEXT,)."""
    history: History


class ContextCache:
    """The context of the forming bar, made anew only when a bar before it has changed."""

    def __init__(self, window: Window, sequence_length: int) -> None:
        self._window = window
        self._history_bars = sequence_length - 1
        self.needed_bars = LOOKBACK + self._history_bars
        """How many bars before the forming one the feature models need."""
        self._context: Context | None = None
        self._revision = -1

    def current(self) -> Context | None:
        """The context of the window's newest bar; None while it has too few bars before it."""
        window = self._window
        if self._revision != window.revision:
            self._revision = window.revision
            bars = window.columns(self.needed_bars, with_pending=True)
            self._context = None
            if len(bars) >= self.needed_bars:
                vector = contexts(
                    bars.log_close[-LOOKBACK:], bars.log_high[-LOOKBACK:], bars.log_low[-LOOKBACK:]
                )[0]
                history = History(bar_vectors(bars)[-self._history_bars :])
                self._context = Context(vector, history)
        return self._context


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Observation:
    """One tick of a batch, with what was known just after it."""

    tick: Tick
    source: Source
    left_out: str | None
    """Why the tick did not enter the window; None when it did."""
    bar: OpenBar | None
    """The bar whose latest tick this is."""
    price: float
    """The newest price of the window, by event time."""
    log_price: float
    log_high: float
    log_low: float
    level: float
    velocity: float
    innovation: float
    context: Context | None
    closed: Sequence[tuple[OpenBar, int]]
    """The bars that this tick closed, each with the number of empty bars before it."""
    state: SymbolState | None
    """When bars were closed; without the forecasts, which are known once the models answered."""
    history_lost: bool

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the answer is less than one to a fresh tick with the whole history."""
        lost = (HISTORY_LOST,) if self.history_lost else ()
        return lost if self.left_out is None else (*lost, self.left_out)


def rows_of(runs: Sequence[Sequence[Observation]]) -> list[Rows]:
    """The models' input for each run of observations, the features of all runs computed at once.

    Args:
        runs: of one symbol each; in each all observations have a context, or none has.
    """
    seen = list(chain.from_iterable(runs))
    level, log_price, log_high, log_low, velocity, innovation = np.array(
        [
            [item.level for item in seen],
            [item.log_price for item in seen],
            [item.log_high for item in seen],
            [item.log_low for item in seen],
            [item.velocity for item in seen],
            [item.innovation for item in seen],
        ]
    )
    moment = Moment(
        ts=np.array([item.tick.ts for item in seen], dtype=np.int64),
        log_price=log_price,
        log_high=log_high,
        log_low=log_low,
        kalman_velocity=velocity,
        kalman_innovation=innovation,
    )
    places: dict[Context | None, int] = {}
    at = np.array([places.setdefault(item.context, len(places)) for item in seen], dtype=np.int64)
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
