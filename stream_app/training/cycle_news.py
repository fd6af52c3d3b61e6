"""How a cycle is made known: its events on the topic; its end in the history, metrics and log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from stream_app.clock import Clock
from stream_app.messages.schemas import RetrainEvent
from stream_app.training.counts import count_cycle
from stream_app.training.cycle_log import log_cycle

logger = logging.getLogger(__name__)

KEPT_EVENTS: Final = 1000
LAST_WORD_S: Final = 2.0
"""How long publishing the end of a cycle may take once it was broken off or the worker ends."""


class CycleNews:
    """Tells of a worker's cycles. A broker that is away or refuses an event stops no training."""

    def __init__(self, publish: Callable[[RetrainEvent], Awaitable[None]], clock: Clock) -> None:
        self._publish = publish
        self._clock = clock
        self.history: deque[RetrainEvent] = deque(maxlen=KEPT_EVENTS)
        """The ended cycles of this worker, oldest first."""

    async def tell(self, event: RetrainEvent) -> None:
        """Publish; an event that cannot be published must not stop the models."""
        try:
            await self._publish(event)
        except Exception as error:  # noqa: BLE001 - whatever the broker refuses it for
            logger.error("retrain event %s of cycle %s: %s", event.state, event.cycle, error)

    async def tell_end(self, ended: RetrainEvent) -> None:
        """Publish the end of a cycle once, also where the worker ends meanwhile."""
        telling = asyncio.ensure_future(self.tell(ended))
        try:
            await asyncio.shield(telling)
        except asyncio.CancelledError:
            await asyncio.wait([telling], timeout=LAST_WORD_S)
            telling.cancel()
            raise

    async def tell_at_last(self, ended: RetrainEvent) -> None:
        """Publish the end of a cycle that was cut off, if that takes no longer than it may."""
        with contextlib.suppress(TimeoutError):  # the broker may be away
            async with asyncio.timeout(LAST_WORD_S):
                await self.tell(ended)

    def note(self, ended: RetrainEvent) -> None:
        """Keep the end of a cycle in the history, the metrics and the log."""
        self.history.append(ended)
        count_cycle(ended, at=self._clock.now())
        log_cycle(ended)
