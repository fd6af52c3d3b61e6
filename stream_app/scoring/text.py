"""Scores as people read them."""

from __future__ import annotations

import math


def percent(share: float) -> str:
    """A skill.

    >>> percent(0.0024), percent(float("nan"))
    ('+0.240 %', '-')
    """
    return "-" if math.isnan(share) else f"{100 * share:+.3f} %"


def points(log_return: float, *, sign: bool = False) -> str:
    """A log return in basis points, hundredths of a percent.

    >>> points(0.00123456), points(0.00001, sign=True), points(float("nan"))
    ('12.346', '+0.100', '-')
    """
    if math.isnan(log_return):
        return "-"
    return f"{1e4 * log_return:{'+' if sign else ''}.3f}"


def share(value: float) -> str:
    """How often something was so.

    >>> share(0.5123), share(float("nan"))
    ('51.2 %', '-')
    """
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def number(value: float) -> str:
    """A test's t.

    >>> number(-1.234), number(float("nan"))
    ('-1.23', '-')
    """
    return "-" if math.isnan(value) else f"{value:+.2f}"
