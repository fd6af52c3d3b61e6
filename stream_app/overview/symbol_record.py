"""All that is known of one symbol. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stream_app.clock import DAY_MS
from stream_app.messages.schemas import PLAIN_HARM
from stream_app.overview.alarm_log import AlarmLog
from stream_app.overview.bar_history import BarHistory
from stream_app.overview.inputs import Answer, Scored
from stream_app.overview.point_history import HORIZONS, PointHistory


@dataclass(slots=True, kw_only=True)
class SymbolRecord:
    """Its newest answer, and what came before."""

    name: str
    answer: Answer | None = None
    """The newest one."""
    answered_ms: int = 0
    """When the newest answer was written, wall clock, epoch milliseconds."""
    heard_ms: int = 0
    """When its newest answer or score was written, wall clock, epoch milliseconds."""
    score: Scored | None = None
    """The newest one by event time: what its forecasts have been worth until then."""
    points: PointHistory = field(default_factory=PointHistory)
    bars: BarHistory = field(default_factory=BarHistory)
    alarms: AlarmLog = field(default_factory=AlarmLog)

    def take_answer(self, answer: Answer, written_ms: int) -> None:
        """Note an answer that was read after all before it in its partition.

        One that was written before the newest is from the partition that the symbol has left.
        """
        if written_ms < self.answered_ms:
            return
        self.answer, self.answered_ms = answer, written_ms
        self.points.take(answer)

    def take_score(self, score: Scored) -> None:
        """Note a score, in whatever order they are read."""
        if self.score is None or score.ts_open >= self.score.ts_open:
            self.score = score

    def live_columns(self) -> dict[str, Any]:
        """The newest answers of a few horizons, and the bars among and before them.

        As `BarHistory.columns`.
        """
        points, bars = self.points.columns(), self.bars.columns()
        if not points["ts"]:
            return points
        last = points["ts"][-1]
        since = last - HORIZONS * (points["target"][-1] - last)
        rows = [
            (ts, at, source)
            for source in (bars, points)
            for at, ts in enumerate(source["ts"])
            if since <= ts <= last
        ]
        rows.sort(key=lambda row: row[0])
        return {name: [source[name][at] for _, at, source in rows] for name in points}


def does_harm(record: SymbolRecord) -> bool:
    """Whether it is plain that the published forecasts are worse than the last price."""
    return record.score is not None and record.score.harm >= PLAIN_HARM


def has_drifted(record: SymbolRecord) -> bool:
    """Whether a detector of drift has alarmed in the last day up to its newest outcome."""
    alarm, score = record.alarms.newest, record.score
    return alarm is not None and score is not None and alarm.ts > score.ts_target - DAY_MS
