"""When each tick is due: as fast as possible, N times event time, or N ticks a second."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast ticks are sent. With neither given: as fast as possible."""

    factor: float | None = None
    """Seconds of event time in a second."""
    per_second: float | None = None
    """Ticks in a second."""

    @classmethod
    def parse(cls, text: str) -> Speed:
        """`max`, `60x` or `500/s`.

        >>> Speed.parse("60x").factor, Speed.parse("500/s").per_second, Speed.parse("max")
        (60.0, 500.0, Speed(factor=None, per_second=None))

        Raises:
            ValueError: it is not one of these, or not above zero.
        """
        if text == "max":
            return cls()
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(x|/s)", text)
        if match is None or not 0 < float(match[1]) < math.inf:
            raise ValueError(
                f"{text!r} is no speed: looked for max, N times event time such as 60x, or ticks "
                "a second such as 500/s"
            )
        number = float(match[1])
        return cls(factor=number) if match[2] == "x" else cls(per_second=number)

    def event_seconds(self, ticks_per_event_second: float) -> float:
        """Seconds of event time that pass in a second, for ticks of this density.

        >>> Speed.parse("500/s").event_seconds(100)
        5.0
        """
        if self.factor is not None:
            return self.factor
        if self.per_second is not None:
            return self.per_second / ticks_per_event_second
        return math.inf


class Pace:
    """Tells when the next tick is due. The schedule starts at the first tick.

    Due times are counted from the start, so that a feed that fell behind catches up.

    Args:
        speed: how fast.
        clock: seconds that only grow.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        speed: Speed,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._speed = speed
        self._ticks = 0
        self._started = 0.0
        self._first_ts = 0

    def due(self, ts: int) -> float:
        """When to send the next tick, as a reading of the clock; call it once for each tick.

        Args:
            ts: the tick's event time, epoch ms.
        """
        if self._ticks == 0:
            self._started = self.clock()
            self._first_ts = ts
        ahead = 0.0
        if self._speed.factor is not None:
            ahead = (ts - self._first_ts) / 1000 / self._speed.factor
        elif self._speed.per_second is not None:
            ahead = self._ticks / self._speed.per_second
        self._ticks += 1
        return self._started + ahead
