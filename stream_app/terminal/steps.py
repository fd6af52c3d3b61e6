"""The progress of a command of several steps on standard error, with the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console

from stream_app.terminal.bar import Bar
from stream_app.terminal.cycles import duration


class Remaining:
    """How long a step still takes, by what its parts have taken so far.

    Work of different kinds takes different times, so each kind has its own rate. With several
    processes the wall time is a part of the time in which they were busy; the part so far is
    taken to stay.

    Args:
        units: how much there is to do, by kind.
        clock: monotonic seconds.
    """

    def __init__(self, units: Mapping[str, int], clock: Callable[[], float]) -> None:
        self._left = dict(units)
        self._total = sum(units.values())
        self._clock = clock
        self._began = clock()
        self._busy: dict[str, float] = {}
        self._done: dict[str, int] = {}

    def done(self, kind: str, units: int, seconds: float | None = None) -> None:
        """A part is done, for which a process was busy so long; None: it was so all the time."""
        self._left[kind] = self._left.get(kind, 0) - units
        self._done[kind] = self._done.get(kind, 0) + units
        if seconds is None:
            self._busy[kind] = self._clock() - self._began - self._others(kind)
        else:
            self._busy[kind] = self._busy.get(kind, 0.0) + seconds

    def _others(self, kind: str) -> float:
        return sum(busy for name, busy in self._busy.items() if name != kind)

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return sum(self._done.values()) / self._total if self._total else 1.0

    def seconds(self) -> float | None:
        """What is left; None while a kind of work that is to come has no rate yet."""
        left = {kind: units for kind, units in self._left.items() if units > 0}
        if not left:
            return 0.0
        busy = sum(self._busy.values())
        if busy <= 0 or any(not self._done.get(kind) for kind in left):
            return None
        ahead = sum(units * self._busy[kind] / self._done[kind] for kind, units in left.items())
        return ahead * (self._clock() - self._began) / busy


class StepsView(Bar):
    """Shows the step, how much of it is done and what is left of it, while its context is open.

    Args:
        steps: their names in order, with what is shown of each.
        runs: how often all of them come.
        console: of standard error.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        steps: Mapping[str, str],
        *,
        runs: int,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(1.0, console, clock=clock)
        self._steps = steps
        self._runs = runs
        self._run = 0
        self._step = ""
        self._remaining = Remaining({}, clock)
        self._began = clock()
        self.seconds: dict[str, float] = {}
        """Of the steps that are over, over all runs, by name."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_step()
        super().__exit__(kind, error, trace)

    def _end_step(self) -> None:
        now = self._clock()
        if self._step:
            self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._began
        self._step, self._began = "", now

    def begin(self, step: str, units: Mapping[str, int]) -> None:
        """A step begins; the first one of all begins another run."""
        self._end_step()
        if step == next(iter(self._steps)):
            self._run += 1
        self._step = step
        self._remaining = Remaining(units, self._clock)
        self.show(lambda: self._remaining.share, self.told, always=True)

    def done(self, kind: str, units: int, seconds: float | None = None) -> None:
        """A part of the step is done; see `Remaining.done`."""
        self._remaining.done(kind, units, seconds)
        self.show(lambda: self._remaining.share, self.told)

    def told(self) -> str:
        """The line that is shown."""
        number = [*self._steps].index(self._step) + 1
        run = f"run {self._run} of {self._runs}, " if self._runs > 1 else ""
        left = self._remaining.seconds()
        about = (
            f", {duration(left)} left in this step"
            if left is not None and 0 < self._remaining.share < 1
            else ""
        )
        return (
            f"{run}step {number} of {len(self._steps)}, {self._steps[self._step]}: "
            f"{100 * self._remaining.share:.0f} %{about}"
        )
