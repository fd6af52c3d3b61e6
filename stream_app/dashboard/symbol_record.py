"""All that is known of one symbol. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stream_app.dashboard.bar_history import BarHistory
from stream_app.dashboard.inputs import Answer
from stream_app.dashboard.point_history import HORIZONS, PointHistory
from stream_app.dashboard.score_history import ScoreHistory
from stream_app.messages.schemas import PLAIN_HARM


@dataclass(slots=True, kw_only=True)
class SymbolRecord:
    """Its newest answer, and what came before."""

    name: str
    answer: Answer | None = None
    """The newest one."""
    answered_ms: int = 0
    """When the newest answer was written, wall clock, epoch milliseconds."""
    points: PointHistory = field(default_factory=PointHistory)
    bars: BarHistory = field(default_factory=BarHistory)
    scores: ScoreHistory = field(default_factory=ScoreHistory)

    def take_answer(self, answer: Answer, written_ms: int) -> None:
        """Note an answer that was read after all before it."""
        self.answer, self.answered_ms = answer, written_ms
        self.points.take(answer)

    def live_columns(self) -> dict[str, Any]:
        """The newest answers, and before the first of them the bars of as many horizons.

        As `BarHistory.columns`.
        """
        points, bars = self.points.columns(), self.bars.columns()
        if not points["ts"]:
            return points
        first = points["ts"][0]
        since = points["ts"][-1] - HORIZONS * (points["target"][-1] - points["ts"][-1])
        before = [at for at, ts in enumerate(bars["ts"]) if since <= ts < first]
        return {name: [bars[name][at] for at in before] + points[name] for name in points}


def does_harm(record: SymbolRecord) -> bool:
    """Whether it is plain that the published forecasts are worse than the last price."""
    newest = record.scores.newest
    return newest is not None and newest.harm >= PLAIN_HARM
