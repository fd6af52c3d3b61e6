"""The clock that code receives instead of asking the machine; the lengths of an hour and a day."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final, Protocol

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class Clock(Protocol):
    """What a clock provides."""

    def now(self) -> datetime:
        """The current time, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; they never decrease."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; they never decrease."""
        return time.monotonic()
