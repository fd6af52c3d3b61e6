"""Prices and errors in digits that say something, however large or small they are."""

from __future__ import annotations

import math
from typing import Final

_DIGITS: Final = 4


def significant(value: float, digits: int = _DIGITS) -> str:
    """A number with so many significant digits, and two after the point at least.

    >>> significant(2.9e-5), significant(0.25), significant(46319.123)
    ('0.00002900', '0.2500', '46,319.12')
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:.2f}"
    after = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(2, after)}f}"


def stated(level: float) -> str:
    """The level of an interval in percent, with the digits that it has.

    >>> stated(0.9), stated(0.995)
    ('90%', '99.5%')
    """
    return f"{100 * level:g}%"
