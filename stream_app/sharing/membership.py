"""This worker as a member of its group: its assignment, and when to trigger a rebalance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from stream_app.recovery.standbys import Standbys
from stream_app.sharing.arrival import Arrival
from stream_app.sharing.reports import Share

logger = logging.getLogger(__name__)


class Membership:
    """Lives in the event loop; no method is thread-safe."""

    def __init__(
        self, standbys: Standbys, *, join_again: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Be told nothing yet.

        Args:
            standbys: what this worker follows.
            join_again: has the group divide the partitions again.
        """
        self._standbys = standbys
        self._join_again = join_again
        self._generation = 0
        """Of the group, at the last assignment: each change of the group has the next number."""
        self.share = Share()
        """What the group said at the last assignment."""
        self._asking: asyncio.Task[None] | None = None
        """Since the last assignment."""
        self._arrival = Arrival()
        self.is_starting = True
        """Whether this worker, alone in its group, waits for what it was first given."""

    @property
    def has_arrived(self) -> bool:
        """Whether the next worker may be restarted, as far as the group is concerned."""
        return self._arrival.is_over

    def take(self, share: Share, *, generation: int) -> bool:
        """The group was divided.

        Args:
            share: what it says.
            generation: the number of this change of the group.

        Returns:
            Whether this worker has missed no change since the last.
        """
        follows, self._generation = generation == self._generation + 1, generation
        self.share, self._asking = share, None
        if share.workers > 1:
            self.is_starting = False
        return follows

    def note_warm(self) -> None:
        """Look whether this worker has settled in, and ask for what is to come, once all is warm.

        Called when another partition is warm, and at each assignment: the group did not know what
        has become warm since this worker joined, and whoever asks while it joins is not heard.
        """
        coming, warm = self.share.coming, self._standbys.warm
        self._arrival.note(coming=coming, following=self._standbys.following, warm=warm)
        if coming and coming <= warm and self._asking is None:
            self.ask()

    def ask(self) -> None:
        """Have the group divide its partitions again. Returns at once."""
        self._asking = asyncio.create_task(self._join_again())
        self._asking.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("the group was not asked to divide its partitions again: %r", error)
            if self._asking is task:
                self._asking = None  # the next partition that is warm asks again
