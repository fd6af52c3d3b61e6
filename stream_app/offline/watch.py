"""How a long command tells where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

TICKS: Final = "ticks"
"""The kind of work of a pass over ticks."""


class Watch(Protocol):
    """Is told of steps, one after the other."""

    def begin(self, step: str, units: Mapping[str, int]) -> None:
        """A step begins; the one before is over.

        Args:
            step: its name.
            units: how much there is to do, by kind of work.
        """

    def done(self, kind: str, units: int, seconds: float | None = None) -> None:
        """A part of the step is done.

        Args:
            kind: of work.
            units: how many.
            seconds: how long a process was busy with it; None where there is one process.
        """


class Unwatched:
    """Tells nobody."""

    def begin(self, step: str, units: Mapping[str, int]) -> None:
        """Nothing."""

    def done(self, kind: str, units: int, seconds: float | None = None) -> None:
        """Nothing."""


def ticks_done(watch: Watch) -> Callable[[int], None]:
    """For a pass: tells that a number of ticks is done."""
    return lambda count: watch.done(TICKS, count)
