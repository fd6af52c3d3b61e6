"""Event times in the units that feeds use. Pure."""

from __future__ import annotations

from typing import Final, Literal

TimeUnit = Literal["s", "ms", "us", "ns"]
UNITS: Final[dict[TimeUnit, str]] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}
EARLIEST_TS: Final = 946_684_800_000
"""2000-01-01. An earlier time means that a clock was not set."""
LATEST_TS: Final = 4_102_444_800_000
"""2100-01-01. A later time means that the unit is not milliseconds."""
_PER_MS: Final[dict[TimeUnit, int]] = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_TOO_LARGE: Final = 2.0**63


def from_ms(ts: int, unit: TimeUnit) -> int | float:
    """Epoch milliseconds as a time that `to_ms` reads back.

    >>> from_ms(1640995200123, "s"), from_ms(1640995200123, "us")
    (1640995200.123, 1640995200123000)
    """
    return ts / 1000 if unit == "s" else ts * _PER_MS[unit]


def to_ms(given: float, unit: TimeUnit) -> int | float:
    """An epoch time as whole milliseconds; what is smaller is cut off.

    A fraction of a second is first rounded to the microsecond: 1640995200.123 is a float just
    below that number, and means .123. A float beyond 64 bits is returned unchanged.

    >>> to_ms(1640995200.123, "s"), to_ms(1640995200123999, "us"), to_ms(1640995200, "s")
    (1640995200123, 1640995200123, 1640995200000)
    """
    if type(given) is float:
        if abs(given) >= _TOO_LARGE:
            return given
        return round(given * 1e6) // 1000 if unit == "s" else int(given) // _PER_MS[unit]
    return int(given) * 1000 if unit == "s" else int(given) // _PER_MS[unit]
