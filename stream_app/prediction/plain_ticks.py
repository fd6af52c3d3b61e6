"""Plain ticks of all symbols of a batch, entered by one compiled loop: nearly all are.

A plain tick follows the one before it by no more than the grace, belongs to the newest bar, closes
no bar and is no jump. It changes the newest bar and the filter, and nothing else. The loop stops
before a symbol's first tick that is not plain; `Intake.take` enters that one. Both give the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import INNOVATION, LIMIT, LOG_HIGH, LOG_LOW, LOG_PRICE, VELOCITY
from stream_app.bars.jumps import JUMP, believed
from stream_app.bars.open_bar import BAR, OpenBar, bar_with, enter_tick
from stream_app.compiled import (
    DOUBLE_TABLE,
    DOUBLES,
    INT_TABLE,
    INTS,
    address_of,
    array_at,
    compiled,
    part,
    types,
)
from stream_app.models.asking import LEVEL
from stream_app.models.kalman_filter import KalmanFilter, KalmanNoise
from stream_app.models.kalman_recursion import FILTER, measured, take
from stream_app.prediction.observation import FAR, NO_BAR, PRICE, Seen

FloatArray = NDArray[np.float64]
Ints = NDArray[np.int64]

RULES: Final = np.dtype(
    [
        ("bar", np.int64),
        ("kalman", np.int64),
        ("oldest_ts", np.int64),
        ("bar_ms", np.int64),
        ("grace_ms", np.int64),
        ("q_level", np.float64),
        ("q_velocity", np.float64),
        ("r", np.float64),
        ("usual_move", np.float64),
        ("step", np.float64),
        ("far", np.float64),
        ("log_before", np.float64),
    ]
)
"""Of one symbol, what plain ticks do not change: addresses of the newest bar and the filter, the
opening time of the oldest open bar, lengths, and as in `KalmanNoise` and `Limits`."""
_RULES, _START, _STOP, _NEWEST = range(4)
"""Columns of the stretches."""


class Limits(NamedTuple):
    """What is believed of the ticks of one bar."""

    usual_move: float
    """Of one bar, a log return; NaN while it is unknown."""
    step: float
    """The largest step since the last close, a log return."""
    far: float
    """The largest log return of a model."""
    log_before: float
    """The last close; NaN where there is none."""


class Rules:
    """How the loop enters ticks of one symbol, until a tick that is not plain."""

    __slots__ = ("_numbers", "address", "bar", "kalman", "noise")

    def __init__(
        self,
        bar: OpenBar,
        kalman: KalmanFilter,
        noise: KalmanNoise,
        limits: Limits,
        *,
        oldest_ts: int,
        bar_ms: int,
        grace_ms: int,
    ) -> None:
        """Say them.

        Args:
            bar: the newest; the loop changes it.
            kalman: has taken a tick of this bar; the loop changes it.
            noise: with which it runs.
            limits: what is believed.
            oldest_ts: opening time of the oldest open bar.
            bar_ms: length of a bar.
            grace_ms: how far a plain tick may be after the one before.
        """
        self.bar, self.kalman, self.noise = bar, kalman, noise
        variances = noise.q_level, noise.q_velocity, noise.r
        lengths = bar_ms, grace_ms
        self._numbers = np.array(
            [(bar.address, kalman.address, oldest_ts, *lengths, *variances, *limits)], RULES
        )
        self.address = address_of(self._numbers)


class Plain(NamedTuple):
    """Neighbouring ticks of one symbol for the loop."""

    rules: int
    """Their address."""
    start: int
    stop: int
    newest_ts: int
    """The newest event time before them."""


class PlainTicks:
    """Ticks of a batch as the loop takes them: parallel arrays of length B."""

    def __init__(self, seen: Seen, price: Sequence[float], size: Sequence[float | None]) -> None:
        self._seen = seen
        self._price = np.array(price)
        self._size = np.array([each or 0.0 for each in size])

    def enter(self, stretches: Sequence[Plain]) -> list[int]:
        """Enter ticks of any number of symbols, of each up to the first that is not plain.

        Args:
            stretches: at least one; those whose rules they name must be held.

        Returns:
            Of each the place of the first tick that is not entered.
        """
        seen, asked = self._seen, np.array(stretches)
        _enter(asked, seen.ts, self._price, self._size, seen.moments, seen.bars)
        done: list[int] = asked[:, _START].tolist()
        return done


@part
def _take_plain(  # noqa: PLR0917 - a compiled function takes no keywords
    rules: Any,
    bar: Any,
    kalman: Any,
    newest_ts: int,
    at: int,
    ts: int,
    price: float,
    size: float,
    moments: FloatArray,
    bars: Ints,
) -> bool:
    """Enter one tick, if it is plain.

    Args:
        rules: of RULES.
        bar: of BAR; changed.
        kalman: of FILTER; changed.
        newest_ts: the newest event time before.
        at: the tick's place.
        ts: its event time.
        price: its price.
        size: its size.
        moments: as of `_enter`.
        bars: the same.

    Returns:
        Whether it was.
    """
    bar_ms, grace_ms = rules.bar_ms, rules.grace_ms
    follows = 0 <= ts - newest_ts <= grace_ms and ts - bar.ts_open < bar_ms
    if not follows or rules.oldest_ts + bar_ms <= ts - grace_ms:
        return False
    entered = bar_with(bar, ts, price, size)
    close, is_latest = entered[3], entered[7]
    log_close = math.log(close)
    if abs(log_close - rules.log_before) > rules.step:
        return False
    if is_latest:
        # The bar is measured again from the state before it; see `KalmanFilter.rewind`.
        passed = (ts - kalman.before.last_ts) / bar_ms
        found = measured(
            kalman.before,
            log_close,
            ts,
            rules.q_level,
            rules.q_velocity,
            rules.r,
            bar_ms,
            believed(rules.usual_move, max(passed, 1.0), JUMP),
        )
        if found[8]:
            return False
        take(kalman, found, ts)
        bar.kalman_velocity, bar.kalman_innovation = kalman.now.velocity, kalman.innovation
    enter_tick(bar, entered)
    bars[at] = bar.ts_open if is_latest else NO_BAR
    moments[LOG_PRICE, at] = log_close
    moments[LOG_HIGH, at] = math.log(bar.high)
    moments[LOG_LOW, at] = math.log(bar.low)
    moments[VELOCITY, at] = kalman.now.velocity
    moments[INNOVATION, at] = kalman.innovation
    moments[LIMIT, at] = rules.step
    moments[LEVEL, at] = kalman.now.level
    moments[PRICE, at] = close
    moments[FAR, at] = rules.far
    return True


@compiled(types.void(INT_TABLE, INTS, DOUBLES, DOUBLES, DOUBLE_TABLE, INTS))
def _enter(  # noqa: PLR0917 - a compiled loop takes no keywords
    stretches: Ints,
    ts: Ints,
    price: FloatArray,
    size: FloatArray,
    moments: FloatArray,
    bars: Ints,
) -> None:
    """The loop of `PlainTicks.enter`.

    Args:
        stretches: shape (S, 4), of `Plain`; where each begins is moved to where it stopped.
        ts: event times, shape (B,).
        price: shape (B,).
        size: 0 where there is none, shape (B,).
        moments: `Seen.moments`, filled in.
        bars: `Seen.bars`, filled in.
    """
    for s in range(len(stretches)):
        rules = array_at(stretches[s, _RULES], 1, RULES)[0]
        bar = array_at(rules.bar, 1, BAR)[0]
        kalman = array_at(rules.kalman, 1, FILTER)[0]
        newest = stretches[s, _NEWEST]
        for at in range(stretches[s, _START], stretches[s, _STOP]):
            if not _take_plain(
                rules, bar, kalman, newest, at, ts[at], price[at], size[at], moments, bars
            ):
                break
            newest = ts[at]
            stretches[s, _START] = at + 1
