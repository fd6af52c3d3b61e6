"""The local linear trend as a scalar recursion, one call per tick.

State [level, velocity] of the log price p; dt in bars since the last measurement:

    level'    = level + velocity dt + w,   velocity' = velocity + v,   p = level + e,  var(e) = r
    cov(w, v) = [[q_level dt + q_velocity dt^3/3,  q_velocity dt^2/2],
                 [q_velocity dt^2/2,               q_velocity dt   ]]

Durbin & Koopman (2012), Time Series Analysis by State Space Methods, 2nd ed., section 3.2.1;
in continuous time Harvey (1989), Forecasting, Structural Time Series Models and the Kalman
Filter, section 9.1. `kalman_reference.py` compares the recursion with filterpy's matrices.

A bar is one measurement. The noise is learned from closes, so r is the error of one close; ticks
of the same moment (a low, a high and a close of a bar from a file) are no independent readings of
the price, and a filter that takes them for such answers their mean. So a tick is the forming bar's
close so far: `KalmanFilter.rewind` goes back to the state after the bar before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from stream_app.compiled import Number, address_of, compiled, part, records_of, types

MAX_GAP_BARS: Final = 12.0
"""A longer gap counts as this many bars. The price in a gap is unknown (a halted market, a feed
that was down), and the variance grows with the cube of dt. Without a limit, one night would erase
the velocity and make the next innovation small, whatever the price did."""
NOISE_MIN: Final = 1e-18
NOISE_MAX: Final = 1.0
_NEVER: Final = -1
STATE: Final = np.dtype(
    [
        ("level", np.float64),
        ("velocity", np.float64),
        ("p00", np.float64),
        ("p01", np.float64),
        ("p11", np.float64),
        ("det", np.float64),
        ("last_ts", np.int64),
    ]
)
"""What a measurement starts from."""
FILTER: Final = np.dtype(
    [
        ("now", STATE),
        ("innovation", np.float64),
        ("innovation_variance", np.float64),
        ("before", STATE),
    ]
)
"""A filter: the state after the last tick, and the one after the bar before that tick's bar."""
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


@part
def measured(  # noqa: PLR0917 - a compiled function takes no keywords
    state: Any,
    log_price: float,
    ts: int,
    q_level: float,
    q_velocity: float,
    r: float,
    bar_ms: int,
    limit: float,
) -> tuple[float, float, float, float, float, float, float, float, bool]:
    """The recursion: predict to `ts`, then correct by the price.

    Args:
        state: of STATE; where it starts from.
        log_price: as of `KalmanFilter.update`, as what follows.
        ts: the same.
        q_level: of the noise.
        q_velocity: the same.
        r: the same.
        bar_ms: as of `update`.
        limit: the same.

    Returns:
        Level, velocity, p00, p01, p11, det, innovation and innovation variance after it, and
        whether the price jumped.
    """
    level, velocity = state.level, state.velocity
    p00, p01, p11, det = state.p00, state.p01, state.p11, state.det
    last_ts = state.last_ts
    if last_ts < 0:
        p11 = q_level + q_velocity
        return log_price, 0.0, r, 0.0, p11, r * p11, 0.0, r, False
    gap = ts - last_ts
    if gap > 0:
        dt = min(gap / bar_ms, MAX_GAP_BARS)
        level += velocity * dt
        q_step = q_velocity * dt
        q_walk = q_level * dt
        dt_p11 = dt * p11
        # det(F P F' + Q), expanded. det F = 1, and p01 >= 0 at every step, so each term is
        # positive.
        det += (
            q_walk * p11
            + q_step * (p00 + dt * (p01 + dt_p11 / 3.0))
            + q_step * (q_walk + q_step * dt * dt / 12.0)
        )
        p00 += dt * (p01 + p01 + dt_p11) + q_walk + q_step * dt * dt / 3.0
        p01 += dt_p11 + q_step * dt * 0.5
        p11 += q_step
    s = p00 + r
    y = log_price - level
    if abs(y) > limit:
        return log_price, velocity, p00, p01, p11, det, 0.0, s, True
    keep = r / s
    return (
        level + y * (p00 / s),
        velocity + y * (p01 / s),
        p00 * keep,
        p01 * keep,
        (p11 * r + det) / s,
        det * keep,
        y / math.sqrt(s),
        s,
        False,
    )


@part
def take(kalman: Any, found: tuple[Any, ...], ts: int) -> None:
    """Change a filter, of FILTER, into what `measured` found at a tick of that time."""
    now = kalman.now
    now.level, now.velocity = found[0], found[1]
    now.p00, now.p01, now.p11, now.det = found[2], found[3], found[4], found[5]
    kalman.innovation, kalman.innovation_variance = found[6], found[7]
    now.last_ts = max(now.last_ts, ts)
    if found[8]:
        kalman.before = now


@compiled(
    types.boolean(
        records_of(FILTER),
        types.float64,
        types.int64,
        *3 * (types.float64,),
        types.int64,
        types.float64,
    )
)
def _update(  # noqa: PLR0917 - a compiled function takes no keywords
    filters: Any,
    log_price: float,
    ts: int,
    q_level: float,
    q_velocity: float,
    r: float,
    bar_ms: int,
    limit: float,
) -> bool:
    """`KalmanFilter.update`."""
    found = measured(filters[0].now, log_price, ts, q_level, q_velocity, r, bar_ms, limit)
    take(filters[0], found, ts)
    return found[8]


@part
def rewind(kalman: Any, ts_open: int) -> None:
    """`KalmanFilter.rewind`, of a filter of FILTER."""
    if kalman.now.last_ts < ts_open:
        kalman.before = kalman.now
    else:
        kalman.now = kalman.before


@compiled(types.void(records_of(FILTER), types.int64))
def _rewind(filters: Any, ts_open: int) -> None:
    rewind(filters[0], ts_open)


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
        """Go back to before the bar that begins at `ts_open`: it is measured anew.

        Args:
            ts_open: of the bar of the next tick, which is not older than the last one; epoch
                milliseconds.
        """
        _rewind(self.numbers, ts_open)

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
        jumped: bool = _update(
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
        ValueError: it is none.
    """
    if len(values) != len(_STATE) or not all(
        type(value) in (int, float) and math.isfinite(value) for value in values
    ):
        raise ValueError(f"Kalman state: before the bar must be the numbers {', '.join(_STATE)}")
    _, _, p00, _, p11, det, last_ts = values
    if last_ts >= 0 and min(p00, p11, det) <= 0.0:
        raise ValueError("Kalman state: before the bar the covariance is not positive definite")
    return (*map(float, values[:-1]), int(last_ts))
