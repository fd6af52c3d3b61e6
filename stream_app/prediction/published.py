"""What is published at each tick: the ensemble's answers shrunk, corrected and bounded.

One compiled loop for all symbols of a batch. What a symbol's record says of a stretch of ticks is
one row of numbers, a `Corrections`; between two closed bars it stays the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import LIMIT, LOG_HIGH, LOG_LOW
from stream_app.compiled import DOUBLES, INTS, compiled, types
from stream_app.prediction.ensemble import Blend
from stream_app.prediction.intervals import Bound
from stream_app.prediction.observation import PRICE, Seen
from stream_app.prediction.volatility import volatility_at

FloatArray = NDArray[np.float64]

MEAN, ENSEMBLE, VOLATILITY, AGE_S, LAST_PRICE, PREDICTION, BIAS, MEMBERS = range(8)
"""Rows of `Said.numbers`; the members' follow, and then low and high of each interval. From AGE_S
on they are in the messages."""
NEVER: Final = 2**62
"""Until when models learned that have learned from nothing: an event time that no tick has."""
_TS_OPEN, _BAR_MS, _LEVEL, _FADE, _GAIN, _BEFORE = range(6)
_TRAINED_TO, _BIAS, _IS_SHRUNK, _FACTOR, _FACTORS = range(6, 11)
"""Columns of the corrections; the members' factors follow, and then the intervals' bounds."""
_Table: Final = types.float64[:, ::1]


class Published(NamedTuple):
    """What was published at a bar's last tick so far, all of it prices but the volatility."""

    price: float
    """The last one."""
    own: Sequence[float]
    """Each member's before its shrinkage, in the ensemble's order; NaN where it gave none."""
    unshrunk: float
    """The weighted mean of these."""
    mean: float
    """The weighted mean of the members after their shrinkage."""
    ensemble: float
    """After its own shrinkage, before the bias correction."""
    prediction: float
    volatility: float
    """Forecast of the deviation over the horizon, a log return."""
    bounds: tuple[Bound, ...]
    """Of the intervals around `prediction`."""


class Stretch(NamedTuple):
    """Neighbouring ticks of one symbol, of one bar, with no closed bar in between."""

    start: int
    stop: int
    corrections: tuple[float, ...]
    """Of a `BarVolatility`; the event time up to which the models learned, or NEVER; and as
    `corrections` gives them."""


def corrections(
    *, bias: float, factor: float | None, factors: Sequence[float], bounds: Sequence[Bound]
) -> tuple[float, ...]:
    """What a symbol's record says between two closed bars, as numbers: the last part of a row.

    Args:
        bias: relative to the last price.
        factor: of the ensemble; None where nothing is shrunk.
        factors: of the members, in the ensemble's order.
        bounds: of the intervals, by rising level.
    """
    is_shrunk = factor is not None
    reach = [side for bound in bounds for side in (bound.low, bound.high)]
    return bias, is_shrunk, 1.0 if factor is None else factor, *factors, *reach


@dataclass(slots=True, eq=False, kw_only=True)
class Said:
    """What is published at B ticks, in columns."""

    blend: Blend
    seen: Seen
    numbers: FloatArray
    """Shape (8 + members + 2 x levels, B)."""

    @classmethod
    def of(cls, blend: Blend, seen: Seen, *, levels: int) -> Said:
        """With numbers that are not known yet; `publish` fills them in."""
        rows = MEMBERS + len(blend.names) + 2 * levels
        return cls(blend=blend, seen=seen, numbers=np.empty((rows, len(seen.ts))))

    def publish(self, stretches: Sequence[Stretch]) -> None:
        """Fill in the numbers of these ticks."""
        blend, seen = self.blend, self.seen
        _publish(
            np.array([each.corrections for each in stretches]),
            np.array([each[:2] for each in stretches]),
            seen.ts,
            seen.moments,
            blend.prices,
            blend.weights,
            blend.price,
            self.numbers,
        )

    def at(self, tick: int, bounds: tuple[Bound, ...]) -> Published:
        """What was published at one tick, once it is filled in."""
        found = self.numbers[:MEMBERS, tick].tolist()
        return Published(
            price=found[LAST_PRICE],
            own=self.blend.prices[:, tick].tolist(),
            unshrunk=float(self.blend.price[tick]),
            mean=found[MEAN],
            ensemble=found[ENSEMBLE],
            prediction=found[PREDICTION],
            volatility=found[VOLATILITY],
            bounds=bounds,
        )


@compiled(types.void(_Table, types.int64[:, ::1], INTS, _Table, _Table, _Table, DOUBLES, _Table))
def _publish(  # noqa: PLR0917 - a compiled loop takes no keywords
    rules: FloatArray,
    spans: NDArray[np.int64],
    ts: NDArray[np.int64],
    moments: FloatArray,
    own: FloatArray,
    weights: FloatArray,
    unshrunk: FloatArray,
    numbers: FloatArray,
) -> None:
    """The arithmetic of `Said.publish`.

    Args:
        rules: the stretches' corrections, shape (S, R).
        spans: where each begins and ends, shape (S, 2).
        ts: shape (B,).
        moments: `Seen.moments`.
        own: each member's price, shape (members, B).
        weights: shape (members, B).
        unshrunk: their weighted mean, shape (B,).
        numbers: filled in.
    """
    members = len(own)
    levels = (len(numbers) - MEMBERS - members) // 2
    for s in range(len(spans)):
        rule = rules[s]
        for b in range(spans[s, 0], spans[s, 1]):
            price = moments[PRICE, b]
            mean = ensemble = unshrunk[b]
            if rule[_IS_SHRUNK] != 0.0:
                distance = 0.0
                for m in range(members):
                    member = price + rule[_FACTORS + m] * (own[m, b] - price)
                    numbers[MEMBERS + m, b] = member
                    if weights[m, b] != 0.0:
                        distance += weights[m, b] * (member - price)
                mean, ensemble = price + distance, price + rule[_FACTOR] * distance
            else:
                for m in range(members):
                    numbers[MEMBERS + m, b] = own[m, b]
            bias = price * rule[_BIAS]
            prediction = ensemble + bias
            volatility = volatility_at(
                (ts[b] - np.int64(rule[_TS_OPEN])) / rule[_BAR_MS],
                rule[_LEVEL],
                rule[_FADE],
                rule[_GAIN],
                rule[_BEFORE],
                moments[LOG_HIGH, b],
                moments[LOG_LOW, b],
                moments[LIMIT, b],
            )
            numbers[AGE_S, b] = max(ts[b] - np.int64(rule[_TRAINED_TO]), 0) / 1000
            numbers[LAST_PRICE, b] = price
            numbers[PREDICTION, b] = prediction
            numbers[BIAS, b] = bias
            numbers[MEAN, b] = mean
            numbers[ENSEMBLE, b] = ensemble
            numbers[VOLATILITY, b] = volatility
            for i in range(levels):
                low, high = rule[_FACTORS + members + 2 * i], rule[_FACTORS + members + 2 * i + 1]
                at = MEMBERS + members + 2 * i
                numbers[at, b] = prediction * math.exp(-low * volatility)
                numbers[at + 1, b] = prediction * math.exp(high * volatility)
