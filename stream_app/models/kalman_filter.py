"""The filter of one symbol, one call per tick; `kalman_recursion.py` has the formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from stream_app.compiled import Number, address_of
from stream_app.models.kalman_recursion import FILTER, STATE, rewind_alone, update

NOISE_MIN: Final = 1e-18
NOISE_MAX: Final = 1.0
_NEVER: Final = -1
_STATE: Final = STATE.names or ()
_KEPT: Final = (*_STATE, "innovation", "innovation_variance")
"""What a restart needs of the last tick."""
_UNSEEN: Final = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, _NEVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class KalmanNoise:
    """Variances of squared log returns: per bar, per bar cubed, and of one measurement.

    >>> KalmanNoise(r=0.0)
    Traceback (most recent call last):
    ValueError: r=0.0: allowed is 1e-18 to 1

    Raises:
        ValueError: a variance is not in NOISE_MIN..NOISE_MAX (squared log returns).
    """

    q_level: float = 1e-6
    q_velocity: float = 1e-10
    r: float = 1e-8

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not NOISE_MIN <= value <= NOISE_MAX:
                raise ValueError(f"{name}={value}: allowed is {NOISE_MIN:g} to {NOISE_MAX:g}")


class KalmanFilter:
    """The filter of one symbol. Mutable, because a tick may cost at most 2 us here.

    `level` is a log price, `velocity` a log return per bar, and `p00`, `p01`, `p11` are their
    posterior covariance. `innovation` is the last measurement minus its prediction, in standard
    deviations; `innovation_variance` is the square of that deviation. `last_ts` is the newest event
    time in epoch milliseconds, negative before the first tick.

    `det` is the covariance's determinant. Computed as p00 p11 - p01^2, it would lose all digits
    once level and velocity are nearly collinear (a tiny r, a long gap). Updated along with the
    rest, it and p11 are sums of positive terms only, so the covariance stays positive definite.

    >>> kalman = KalmanFilter()
    >>> for minute, price in enumerate([100.0, 101.0, 102.0]):
    ...     _ = kalman.update(math.log(price), 60_000 * minute, KalmanNoise(), bar_ms=60_000)
    >>> round(math.exp(kalman.level), 1), round(kalman.velocity, 4)
    (102.0, 0.0066)
    """

    __slots__ = ("address", "now", "numbers")

    def __init__(self) -> None:
        self.numbers = np.array([(_UNSEEN, 0.0, 0.0, _UNSEEN)], dtype=FILTER)
        """Shape (1,), of FILTER: the filter itself."""
        self.now: NDArray[Any] = self.numbers["now"]
        """Its state after the last tick: a view."""
        self.address = address_of(self.numbers)

    level = Number("now")
    velocity = Number("now")
    p00 = Number("now")
    p01 = Number("now")
    p11 = Number("now")
    det = Number("now")
    last_ts = Number("now")
    innovation = Number()
    innovation_variance = Number()

    @property
    def before(self) -> tuple[float, ...]:
        """The state after the bar before the one that `last_ts` is in, in the order of STATE."""
        state: tuple[float, ...] = self.numbers["before"].item()
        return state

    def rewind(self, ts_open: int) -> None:
        """Go back to before the bar that begins at `ts_open`: it is measured again.

        Args:
            ts_open: of the bar of the next tick, which is not older than the last one; epoch
                milliseconds.
        """
        rewind_alone(self.numbers, ts_open)

    def update(
        self,
        log_price: float,
        ts: int,
        noise: KalmanNoise,
        bar_ms: int,
        limit: float = math.inf,
    ) -> bool:
        """Predict to `ts`, then correct by the price.

        A price further from the prediction than the limit is a jump: the level starts again from
        it, nothing is learned from the step, and the rest of the bar is measured from there.

        The first tick sets the level, with the measurement's variance, and a velocity of zero.
        The velocity's prior variance is q_level + q_velocity, so the drift may be as large as the
        move of one bar. A tick that is not newer than the last corrects without a step in time.

        Args:
            log_price: finite.
            ts: event time, epoch milliseconds, not negative.
            noise: the variances for this step; they may change between ticks.
            bar_ms: length of a bar in milliseconds.
            limit: the largest innovation that is learned from, a log return.

        Returns:
            Whether the price jumped.
        """
        jumped: bool = update(
            self.numbers, log_price, ts, noise.q_level, noise.q_velocity, noise.r, bar_ms, limit
        )
        return jumped

    def copy(self) -> KalmanFilter:
        """An independent filter in the same state."""
        twin = KalmanFilter()
        twin.numbers[:] = self.numbers
        return twin

    def to_state(self) -> dict[str, float]:
        """The state after the last tick by name, as JSON numbers."""
        now, *last, _ = cast(tuple[Any, ...], self.numbers.item())
        return dict(zip(_KEPT, (*now, *last), strict=True))

    @classmethod
    def from_state(cls, state: Mapping[str, float], before: Sequence[float] = ()) -> KalmanFilter:
        """Restore what `to_state` returned, exactly.

        Args:
            state: as `to_state` gave it.
            before: the filter's `before`; empty where it was not kept, and the rest of the bar is
                then measured from the last tick.

        Raises:
            ValueError: keys are missing or unknown, a value is not a finite number, or a
                covariance is not positive definite.
        """
        if set(state) != set(_KEPT):
            raise ValueError(f"Kalman state: the keys must be {', '.join(_KEPT)}")
        for name, value in state.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"Kalman state: {name} is not a number")
            if not math.isfinite(value):
                raise ValueError(f"Kalman state: {name} is not finite")
        if state["last_ts"] >= 0 and min(state["p00"], state["p11"], state["det"]) <= 0.0:
            raise ValueError("Kalman state: the covariance is not positive definite")
        restored = cls()
        now = tuple(state[name] for name in _STATE)
        last = state["innovation"], state["innovation_variance"]
        restored.numbers[0] = (now, *last, _before(before) if before else now)
        return restored


def _before(values: Sequence[float]) -> tuple[float, ...]:
    """The state before a bar, checked.

    Raises:
        ValueError: it is not valid.
    """
    if len(values) != len(_STATE) or not all(
        type(value) in (int, float) and math.isfinite(value) for value in values
    ):
        raise ValueError(f"Kalman state: before the bar must be the numbers {', '.join(_STATE)}")
    _, _, p00, _, p11, det, last_ts = values
    if last_ts >= 0 and min(p00, p11, det) <= 0.0:
        raise ValueError("Kalman state: before the bar the covariance is not positive definite")
    return (*map(float, values[:-1]), int(last_ts))
