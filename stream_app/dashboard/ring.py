"""The events of the last five minutes, so that a browser that reconnects misses none. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

KEPT_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An event as it was sent."""

    number: int
    at_s: float
    data: bytes


class Ring:
    """The events of one channel.

    Args:
        monotonic: the clock, in seconds.
        newest_only: whether each event says all that the ones before it said.
        began: the number of the last event of all channels before this one was there.
    """

    def __init__(self, monotonic: Callable[[], float], *, newest_only: bool, began: int) -> None:
        self._monotonic = monotonic
        self._kept: deque[Kept] = deque(maxlen=1 if newest_only else None)
        self._newest_only = newest_only
        self._complete_after = began

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, number: int, data: bytes) -> None:
        """Keep an event, and forget those that are too old."""
        now = self._monotonic()
        self._kept.append(Kept(number=number, at_s=now, data=data))
        while not self._newest_only and self._kept[0].at_s < now - KEPT_S:
            self._complete_after = self._kept.popleft().number

    def since(self, number: int) -> list[Kept] | None:
        """The events after that number; None where some of them are forgotten."""
        if number < self._complete_after:
            return None
        return [item for item in self._kept if item.number > number]

    @property
    def newest(self) -> bytes | None:
        """The last event."""
        return self._kept[-1].data if self._kept else None
