"""One part of the page, shared by several browsers: built once, sent to all of them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from stream_app.dashboard.ring import Ring


class Channel:
    """Turns a section of the read model into events, whenever it has changed.

    Args:
        name: of its events.
        every: steps from an event to the next one, at least.
        value: makes the section; None while there is nothing to say.
        stamp: changes whenever the value may have changed, and is so cheap that it is looked at in
            each step. Without one the value itself is looked at, and that only each `every` steps.
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
        self.due = 0
        """The step that looks at it next."""
        self.ring = ring
        self.clients = 0
        self.unused_since_s: float | None = None
        self._every = every
        self._value = value
        self._stamp = stamp
        self._last_stamp: object = None

    def look(self, step: int) -> bytes | None:
        """The section in JSON, if it differs from the last event's.

        Args:
            step: the number of this step.
        """
        data = self._changed()
        can_wait = data is not None or self._stamp is None
        self.due = step + (self._every if can_wait else 1)
        return data

    def _changed(self) -> bytes | None:
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
