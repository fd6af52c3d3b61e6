"""Measures rebalances: from when partitions are given up until all that were given are restored."""

from __future__ import annotations

import time

from stream_app.ops.metrics import REBALANCE_SECONDS


class RebalanceTimer:
    """One that begins before the last one is over belongs to it."""

    def __init__(self) -> None:
        self._began: float | None = None

    def begin(self) -> None:
        """The group changes. Returns at once."""
        if self._began is None:
            self._began = time.perf_counter()

    def end(self) -> None:
        """All that this worker was given is restored; nothing happens where none has begun."""
        if self._began is not None:
            REBALANCE_SECONDS.observe(time.perf_counter() - self._began)
            self._began = None
