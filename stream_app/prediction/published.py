"""What is published at each tick: the ensemble's answers shrunk, corrected and bounded.

One compiled loop for all symbols of a batch. It finds what a symbol's record says of a stretch of
ticks (`Corrections`), and where it notes what it published (`Forming`), by their addresses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.bars.features import LIMIT, LOG_HIGH, LOG_LOW
from stream_app.compiled import (
    DOUBLE_TABLE,
    DOUBLES,
    INT_TABLE,
    INTS,
    address_of,
    array_at,
    compiled,
    types,
)
from stream_app.prediction.ensemble import Blend
from stream_app.prediction.intervals import Bound
from stream_app.prediction.observation import NO_BAR, PRICE, Seen
from stream_app.prediction.volatility import BarVolatility, volatility_at

FloatArray = NDArray[np.float64]

MEAN, ENSEMBLE, VOLATILITY, AGE_S, LAST_PRICE, PREDICTION, BIAS, MEMBERS = range(8)
"""Rows of `Said.numbers`; the members' follow, and then low and high of each interval. From AGE_S
on they are in the messages."""
NEVER: Final = 2**62
"""Until when models learned that have learned from nothing: an event time that no tick has."""
_TS_OPEN, _BAR_MS, _LEVEL, _FADE, _GAIN, _BEFORE = range(6)
_TRAINED_TO, _BIAS, _IS_SHRUNK, _FACTOR, _FACTORS = range(6, 11)
"""Numbers of the corrections; the members' factors follow, and then the intervals' bounds."""


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


class Forming:
    """Where the loop notes what it publishes at the last tick of a bar so far."""

    __slots__ = ("_levels", "_members", "_numbers", "address")

    def __init__(self, *, members: int, levels: Sequence[float]) -> None:
        """Nothing is noted yet.

        Args:
            members: how many the ensemble has.
            levels: of the intervals.
        """
        self._members, self._levels = members, levels
        self._numbers = np.empty(MEMBERS + 1 + members + 2 * len(levels))
        """The first rows of `Said.numbers`, the unshrunk mean, the members' own prices, and low and
        high of each level."""
        self.address = address_of(self._numbers)

    def published(self) -> Published:
        """What was published."""
        found = self._numbers.tolist()
        own, reach = MEMBERS + 1, MEMBERS + 1 + self._members
        return Published(
            price=found[LAST_PRICE],
            own=found[own:reach],
            unshrunk=found[MEMBERS],
            mean=found[MEAN],
            ensemble=found[ENSEMBLE],
            prediction=found[PREDICTION],
            volatility=found[VOLATILITY],
            bounds=tuple(
                Bound(level, low, high)
                for level, low, high in zip(
                    self._levels, found[reach::2], found[reach + 1 :: 2], strict=True
                )
            ),
        )


class Corrections:
    """What a symbol's record says of the ticks of one bar, until a bar closes: a row of numbers."""

    __slots__ = ("_numbers", "address", "trained_to", "volatility")

    def __init__(
        self,
        volatility: BarVolatility,
        trained_to: int,
        *,
        bias: float,
        factor: float | None,
        factors: Sequence[float],
        bounds: Sequence[Bound],
    ) -> None:
        """Say it.

        Args:
            volatility: of the bar.
            trained_to: event time of the last tick that the models learned from, epoch ms; or
                NEVER.
            bias: relative to the last price.
            factor: of the ensemble; None where nothing is shrunk.
            factors: of the members, in the ensemble's order.
            bounds: of the intervals, by rising level.
        """
        self.volatility, self.trained_to = volatility, trained_to
        reach = [side for bound in bounds for side in (bound.low, bound.high)]
        shrinkage = factor is not None, 1.0 if factor is None else factor, *factors
        self._numbers = np.array([*volatility, trained_to, bias, *shrinkage, *reach], np.float64)
        self.address = address_of(self._numbers)


class Stretch(NamedTuple):
    """Neighbouring ticks of one symbol, of one bar, with no closed bar in between."""

    start: int
    stop: int
    corrections: Corrections
    forming: Forming | None
    """Of their bar; None where none is the bar's latest tick."""


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
        """Fill in the numbers of these ticks, and note what was published at their bars' last."""
        if not stretches:
            return
        blend, seen = self.blend, self.seen
        spans = [
            (start, stop, corrections.address, 0 if forming is None else forming.address)
            for start, stop, corrections, forming in stretches
        ]
        _publish(
            np.array(spans),
            seen.ts,
            seen.bars,
            seen.moments,
            blend.prices,
            blend.weights,
            blend.price,
            self.numbers,
        )


@compiled(types.void(INT_TABLE, INTS, INTS, *3 * (DOUBLE_TABLE,), DOUBLES, DOUBLE_TABLE))
def _publish(  # noqa: PLR0917 - a compiled loop takes no keywords
    spans: NDArray[np.int64],
    ts: NDArray[np.int64],
    bars: NDArray[np.int64],
    moments: FloatArray,
    own: FloatArray,
    weights: FloatArray,
    unshrunk: FloatArray,
    numbers: FloatArray,
) -> None:
    """The arithmetic of `Said.publish`.

    Args:
        spans: of each stretch where it begins and ends, the address of its corrections and that of
            the `Forming`, or 0; shape (S, 4).
        ts: shape (B,).
        bars: `Seen.bars`.
        moments: `Seen.moments`.
        own: each member's price, shape (members, B).
        weights: shape (members, B).
        unshrunk: their weighted mean, shape (B,).
        numbers: filled in.
    """
    members = len(own)
    levels = (len(numbers) - MEMBERS - members) // 2
    for s in range(len(spans)):
        rule = array_at(spans[s, 2], _FACTORS + members + 2 * levels, np.float64)
        latest = -1
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
            if bars[b] != NO_BAR:
                latest = b
        if latest >= 0 and spans[s, 3] != 0:
            size = MEMBERS + 1 + members + 2 * levels
            forming = array_at(spans[s, 3], size, np.float64)
            forming[:MEMBERS] = numbers[:MEMBERS, latest]
            forming[MEMBERS] = unshrunk[latest]
            forming[MEMBERS + 1 : MEMBERS + 1 + members] = own[:, latest]
            forming[MEMBERS + 1 + members :] = rule[_FACTORS + members :]
