"""Says how many symbols the plan holds, and that they do not fit where they do not."""

from __future__ import annotations

import logging
from typing import Final

from stream_app.training.plan import PlanFigures

logger = logging.getLogger(__name__)

STILL_S: Final = 10.0
"""So long no symbol must have come or gone: at a start they come partition by partition."""
CHANGED: Final = 0.1
"""Another number of symbols by this share is worth a line."""
FITS_AGAIN: Final = 0.95
"""Of what fits, so many symbols or fewer, before it is said that they fit again."""


class PlanLog:
    """One line when a plan begins, when its symbols fit no more or again, and when many came."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._symbols = 0
        self._since_s = 0.0
        """From when on there were so many symbols."""
        self._said: tuple[int, bool] | None = None
        """How many symbols, and whether they fit, by the last line."""

    def note(self, plan: PlanFigures | None, now_s: float) -> None:
        """Look at the plan, about every second.

        Args:
            plan: None where all symbols fit into one cycle.
            now_s: monotonic.
        """
        if plan is None:
            self._said = None
            return
        if plan.symbols != self._symbols:
            self._symbols, self._since_s = plan.symbols, now_s
        if now_s - self._since_s < STILL_S:
            return
        fits = plan.is_feasible
        if self._said is not None:
            symbols, fitted = self._said
            fits = plan.symbols <= (plan.fit if fitted else FITS_AGAIN * plan.fit)
            if fits == fitted and abs(plan.symbols - symbols) <= CHANGED * symbols:
                return
        self._said = plan.symbols, fits
        needs = needed(plan, self._processes)
        if fits:
            logger.info("%s", needs)
        else:
            logger.warning(
                "%s: %s fit; add workers, add RETRAIN_PROCESSES if there are cores, or raise "
                "RETRAIN_INTERVAL_HOURS",
                needs,
                f"{plan.fit:,}",
            )


def needed(plan: PlanFigures, processes: int) -> str:
    """What the symbols need.

    >>> plan = PlanFigures(symbols=1400, fit=1473, turn_seconds=2.443, busy_seconds=3420.2,
    ...     interval_seconds=3600.0, waiting=1, age_seconds=None, deadline_seconds=None)
    >>> needed(plan, processes=2)
    '1,400 symbols need 57 min of each hour on 2 processes'
    """
    interval_s = plan.interval_seconds
    each = "hour" if interval_s == 3600 else _time(interval_s)
    on = f"{processes} process" + ("es" if processes > 1 else "")
    return f"{plan.symbols:,} symbols need {_time(plan.busy_seconds)} of each {each} on {on}"


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.3g} s"
