"""The detectors of all symbols. Pure."""

from __future__ import annotations

from stream_app.drift.symbol import SymbolDrift
from stream_app.messages.schemas import Drift, Score, Source


class DriftWatch:
    """Scores in, alarms out: a function of the scores, in their order, and of nothing else.

    Args:
        false_alarm_days: the wanted mean time between two false alarms of a symbol.
    """

    def __init__(self, false_alarm_days: float) -> None:
        self._days = false_alarm_days
        self._symbols: dict[str, SymbolDrift] = {}

    def take(self, score: Score, source: Source) -> list[Drift]:
        """The alarms at a score.

        Args:
            score: the next one of its symbol. With another horizon than before, the symbol begins
                again.
            source: its record.
        """
        found = self._symbols.get(score.symbol)
        if found is None or found.horizon_s != score.horizon_s:
            found = self._symbols[score.symbol] = SymbolDrift(
                false_alarm_days=self._days, horizon_s=score.horizon_s
            )
        return found.take(score, source)
