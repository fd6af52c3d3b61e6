"""ADWIN and Page-Hinkley of `river`, set by the wanted mean distance between false alarms.

Both watch a number from 0 to 1 that is spread evenly while nothing changes (`usual.py`). So what
they are set to holds for each symbol, whatever the unit and the shape of its errors.

`import river` brings pandas and scikit-learn into the process, so it waits until it is needed, and
no worker needs it.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from stream_app.messages.schemas import DriftDetector

ALLOWANCE: Final = 0.1
"""What Page-Hinkley lets pass: half of what its input's mean grows by when normal errors double,
2 / pi atan(2) - 1 / 2 = 0.205. Half of the shift to be found is the best choice (Page 1954,
Continuous Inspection Schemes; Moustakides 1986, Optimal Stopping Times for Detecting Changes)."""
MIN_VALUES: Final = 30
"""No alarm before so many values: the past mean must be known."""
_DEVIATION: Final = math.sqrt(1.0 / 12.0)
"""Of a number that is spread evenly over 0 to 1."""
_ADWIN_VALUES: Final = 2600.0
_ADWIN_POWER: Final = 1.4
"""ADWIN's `delta` bounds a false alarm's chance far from above. On evenly spread numbers the mean
distance of its false alarms is about 2,600 / delta ** 1.4 values (benchmarks/drift.py)."""


class Detector(Protocol):
    """What a detector of `river` provides."""

    @property
    def drift_detected(self) -> bool:
        """Whether the last value made it say so; the next one lets it begin again."""
        ...

    def update(self, x: float) -> object:
        """Take the next value."""
        ...


def page_hinkley_threshold(values: float) -> float:
    """The threshold that is crossed by chance once in so many values on average.

    Siegmund (1985, Sequential Analysis, section 2.6): of a sum of normal numbers with mean -d and
    deviation 1, reflected at 0, the mean time to height b - 1.166 is
    (exp(2 d b) - 1 - 2 d b) / (2 d^2).

    >>> round(page_hinkley_threshold(8640), 2)
    2.85

    Args:
        values: at least 1.
    """
    drift = ALLOWANCE / _DEVIATION
    low, high = 0.0, 400.0
    for _ in range(60):
        middle = (low + high) / 2.0
        exponent = 2.0 * drift * middle
        if (math.exp(exponent) - 1.0 - exponent) / (2.0 * drift * drift) < values:
            low = middle
        else:
            high = middle
    return _DEVIATION * max(low - 1.166, 0.0)


def adwin_delta(values: float) -> float:
    """The `delta` with which ADWIN alarms by chance once in so many values on average.

    >>> round(adwin_delta(8640), 3)
    0.424
    """
    return min(1.0, math.pow(_ADWIN_VALUES / values, 1.0 / _ADWIN_POWER))


def detectors(values: float) -> dict[DriftDetector, Detector]:
    """New detectors, each of which alarms by chance once in so many values on average.

    Args:
        values: at least 1.
    """
    from river.drift import ADWIN, PageHinkley

    return {
        "adwin": ADWIN(  # type: ignore[no-untyped-call]
            delta=adwin_delta(values), clock=1
        ),
        # With river's own alpha of 0.9999 the allowance would wear off in 10,000 values.
        "page_hinkley": PageHinkley(
            min_instances=MIN_VALUES,
            delta=ALLOWANCE,
            threshold=page_hinkley_threshold(values),
            alpha=1.0,
            mode="up",
        ),
    }
