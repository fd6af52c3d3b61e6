"""One part of the page as several browsers look at it: made once, sent to all of them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from stream_app.dashboard.ring import Ring


class Channel:
    """Turns a section of the read model into events, whenever it has changed.

    Args:
        name: of its events.
        every: at which of the steps it is looked at: 1 is each of them.
        value: makes the section; None while there is nothing to say.
        stamp: changes whenever the value may have changed, and is cheaper.
        ring: keeps its events.
    """

    def __init__(
        self,
        name: str,
        *,
        every: int,
        value: Callable[[], Any],
        stamp: Callable[[], object] | None = None,
        ring: Ring,
    ) -> None:
        self.name = name
        self.every = every
        self.ring = ring
        self.clients = 0
        self.unused_since_s: float | None = None
        self._value = value
        self._stamp = stamp
        self._last_stamp: object = None

    def changed(self) -> bytes | None:
        """The section in JSON, if it differs from the last event's."""
        if self._stamp is not None:
            stamp = self._stamp()
            if stamp == self._last_stamp and self.ring.newest is not None:
                return None
            self._last_stamp = stamp
        value = self._value()
        if value is None:
            return None
        data = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
        return None if data == self.ring.newest else data
