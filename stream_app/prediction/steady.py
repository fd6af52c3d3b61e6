"""A symbol to which nothing but plain ticks comes: the next ones enter and are answered as is.

Between two closed bars nearly every symbol is steady. Then a batch costs it one row for each
compiled loop, and none of the work that finds out what to put there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream_app.bars.recent_ticks import RecentTicks
from stream_app.messages.arrivals import TickKey
from stream_app.prediction.plain_ticks import Plain, Rules
from stream_app.prediction.published import Corrections, Forming, Stretch
from stream_app.prediction.question import Question
from stream_app.prediction.writing import Form


class Steady(NamedTuple):
    """What holds for a symbol's next ticks until one is not plain, or anything else changes."""

    recent: RecentTicks
    rules: Rules
    question: Question
    corrections: Corrections
    forming: Forming
    form: Form

    def plain(self, keys: Sequence[TickKey], start: int, stop: int) -> Plain | None:
        """The next ticks for the loop; None where some may be duplicates.

        Args:
            keys: those of the batch.
            start: the place of the symbol's first one.
            stop: the place after its last one.
        """
        recent = self.recent
        if recent.found_in(keys[start:stop]):
            return None
        return Plain(self.rules.address, start, stop, recent.newest_ts)

    def stretch(self, start: int, stop: int) -> Stretch:
        """How to publish them."""
        return Stretch(start, stop, self.corrections, self.forming)
