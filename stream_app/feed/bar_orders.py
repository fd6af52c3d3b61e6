"""Orders of a bar's prices in files without a header."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.feed.columns import OHLC

_ORDERS: Final = (
    ("low", "high", "open", "close"),  # Coinbase
    ("open", "close", "high", "low"),  # Bitfinex
    ("open", "close", "low", "high"),
)
"""In which exchanges give bars, beside open, high, low, close."""


def other_order(price: NDArray[np.float64]) -> tuple[str, ...] | None:
    """The first other order in which every high and low encloses its bar; None without one.

    >>> other_order(np.array([[4.0, 6.0, 5.0, 5.5]]))
    ('low', 'high', 'open', 'close')

    Args:
        price: shape (bars, 4), as the file has them after the time.
    """
    for order in _ORDERS:
        opened, high, low, close = (price[:, order.index(role)] for role in OHLC)
        inside = (high >= np.maximum(opened, close)) & (low <= np.minimum(opened, close))
        if inside.all():
            return order
    return None
