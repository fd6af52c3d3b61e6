"""The drift alarms of one symbol, compared with chance, always firing and never firing. Pure."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, get_args

from stream_app.clock import DAY_MS
from stream_app.messages.schemas import DriftDetector, DriftInput
from stream_app.overview.inputs import Alarm

KEPT_ALARMS: Final = 100
SPAN_DAYS: Final = 30
_DETECTORS: Final = [
    (detector, name) for detector in get_args(DriftDetector) for name in get_args(DriftInput)
]


class AlarmLog:
    """The newest alarms of one symbol."""

    def __init__(self) -> None:
        self._alarms: deque[Alarm] = deque(maxlen=KEPT_ALARMS)

    def take(self, alarm: Alarm) -> None:
        """Note an alarm; the same one again counts once."""
        if all(alarm.id != other.id for other in self._alarms):
            self._alarms.append(alarm)

    @property
    def newest(self) -> Alarm | None:
        """The last one by event time."""
        return max(self._alarms, key=lambda alarm: alarm.ts, default=None)

    def table(self, now_ts: int, horizon_ms: int) -> list[dict[str, Any]]:
        """Of the last 30 days, a row for each detector, and those of the two that know nothing.

        Args:
            now_ts: event time up to which the symbol is known, epoch ms.
            horizon_ms: of its forecasts: one value for the detectors comes in each.
        """
        span_ms = SPAN_DAYS * DAY_MS
        lately = [alarm for alarm in self._alarms if alarm.ts > now_ts - span_ms]
        newest = self.newest
        days = None if newest is None else newest.false_alarm_days
        rows: list[dict[str, Any]] = []
        for detector, name in _DETECTORS:
            own = [each for each in lately if (each.detector, each.input) == (detector, name)]
            last = max(own, key=lambda each: each.ts, default=None)
            rows.append(
                {
                    "detector": f"{detector}, {name}",
                    "alarms": len(own),
                    "by_chance": None if days is None else SPAN_DAYS / days / len(_DETECTORS),
                    "newest": None if last is None else last.ts,
                    "ratio": None if last is None else last.ratio,
                }
            )
        for name, alarms in (("always", span_ms // horizon_ms), ("never", 0)):
            plain = {"detector": name, "alarms": alarms, "by_chance": alarms}
            rows.append({**plain, "newest": None, "ratio": None})
        return rows
