"""Orders of a bar's prices in files without a header."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_app.feed.columns import OHLC, Columns
from stream_app.feed.head import Head

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


def names_in_order(price: NDArray[np.float64], columns: Columns, head: Head) -> str | None:
    """`--names` for a file without a header whose bars fit in another order; None otherwise.

    Args:
        price: shape (bars, 4), as the file has them after the time.
        columns: what the file holds.
        head: of the file's table.
    """
    if not head.layout.names or tuple(columns.positions[role] for role in OHLC) != (1, 2, 3, 4):
        return None
    order = other_order(price)
    return None if order is None else ",".join(("time", *order, *head.names[5:]))
