"""All that is known of one symbol. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stream_app.clock import DAY_MS
from stream_app.dashboard.alarm_log import AlarmLog
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
    alarms: AlarmLog = field(default_factory=AlarmLog)

    def take_answer(self, answer: Answer, written_ms: int) -> None:
        """Note an answer that was read after all before it."""
        self.answer, self.answered_ms = answer, written_ms
        self.points.take(answer)

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

    def coverage(self) -> list[dict[str, float | int]]:
        """By stated level, how many outcomes are known and which share of them lay inside.

        The intervals are those of the bars, the outcomes those of the scores.
        """
        inside: dict[float, list[bool]] = {}
        for ts_open, came in self.scores:
            for bounds in self.bars.intervals(ts_open):
                inside.setdefault(bounds.level, []).append(bounds.low <= came <= bounds.high)
        return [
            {"level": level, "n": len(hits), "inside": sum(hits) / len(hits)}
            for level, hits in sorted(inside.items())
        ]


def does_harm(record: SymbolRecord) -> bool:
    """Whether it is plain that the published forecasts are worse than the last price."""
    newest = record.scores.newest
    return newest is not None and newest.harm >= PLAIN_HARM


def has_drifted(record: SymbolRecord) -> bool:
    """Whether a detector of drift has alarmed in the last day up to its newest outcome."""
    alarm, scored = record.alarms.newest, record.scores.newest
    return alarm is not None and scored is not None and alarm.ts > scored.ts_target - DAY_MS
