"""Whether a worker that has come has settled in: then the next one may be restarted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from typing import Final

logger = logging.getLogger(__name__)

ARRIVES_WITHIN_S: Final = 240.0
"""A rollout waits for so long at most: a month of 20 symbols takes some ten seconds. An alarm is
raised for a worker that is not ready for five minutes."""


class Arrival:
    """Over once the worker has been assigned its partitions, and can take over all that it stands
    by for. It follows later ones while ready, so that readiness does not flap.

    A single worker has nothing to wait for.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """It has not come yet.

        Args:
            now: seconds, of a clock that never goes back.
        """
        self._now = now
        self._began: float | None = None
        self._is_over = False

    def note(
        self, *, coming: Collection[int], following: frozenset[int], warm: frozenset[int]
    ) -> None:
        """Where it stands. Called at each assignment, and when another partition is warm.

        Args:
            coming: partitions that it is given later.
            following: what it stands by for.
            warm: those of them that it could take over at once.
        """
        if self._began is None:
            self._began = self._now()
        self._is_over = self._is_over or (not coming and following <= warm)

    @property
    def is_over(self) -> bool:
        """Whether it has settled in, or has had its time."""
        if self._is_over or self._began is None:
            return self._is_over
        if self._now() - self._began > ARRIVES_WITHIN_S:
            self._is_over = True
            logger.warning(
                "not all partitions that this worker follows can be taken over yet, %.0f s after "
                "it has come; it says that it is ready all the same",
                ARRIVES_WITHIN_S,
            )
        return self._is_over
