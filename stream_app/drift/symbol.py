"""The detectors of one symbol. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, get_args

from stream_app.drift.detectors import Detector, detectors
from stream_app.drift.usual import Usual
from stream_app.messages.schemas import Drift, DriftDetector, DriftInput, Score, Source

NEWEST: Final = 24
"""So many values make the ratio that an alarm says."""
_INPUTS: Final[tuple[DriftInput, ...]] = get_args(DriftInput)
_DETECTORS: Final[tuple[DriftDetector, ...]] = get_args(DriftDetector)
_DAY_S: Final = 86_400


def magnitude(score: Score, name: DriftInput) -> float | None:
    """An input's value at a score; None where the score does not say it.

    Both are divided by the volatility forecast. The filter's own deviation is one number from one
    retrain to the next, so that innovations in units of it follow the volatility through the day.
    """
    said = score.errors.get("published") if name == "errors" else score.innovation
    return None if said is None or not score.volatility else abs(said) / score.volatility


@dataclass(slots=True)
class _Watched:
    """A detector, and how many values it has seen since it began."""

    name: DriftDetector
    detector: Detector
    values: int = 0

    def take(self, share: float) -> int:
        """The values that it had seen when it alarms now; 0 where it does not."""
        self.detector.update(share)
        self.values += 1
        if not self.detector.drift_detected:
            return 0
        seen, self.values = self.values, 0
        return seen


@dataclass(slots=True)
class _Input:
    name: DriftInput
    watched: list[_Watched]
    usual: Usual = field(default_factory=Usual)
    newest: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST))


class SymbolDrift:
    """What becomes of one symbol's scores of one horizon.

    Only scores whose horizons do not overlap are taken: neighbouring ones share h-1 of h bars, and
    would say the same again and again.

    Args:
        false_alarm_days: the wanted mean time between two false alarms of the symbol. It is
            shared by the detectors, for their rates add up, however they depend on each other.
        horizon_s: of the scores.
    """

    def __init__(self, *, false_alarm_days: float, horizon_s: int) -> None:
        self.horizon_s = horizon_s
        self._days = false_alarm_days
        shared = len(_INPUTS) * len(_DETECTORS)
        values = max(1.0, shared * false_alarm_days * _DAY_S / horizon_s)
        self._inputs = [
            _Input(name, [_Watched(*each) for each in detectors(values).items()])
            for name in _INPUTS
        ]
        self._next_open = 0
        """Opening time of the first bar whose horizon is to be taken, epoch ms."""

    def take(self, score: Score, source: Source) -> list[Drift]:
        """The alarms at a score. One that comes again, or overlaps the last one, gives none."""
        if score.ts_open < self._next_open:
            return []
        self._next_open = score.ts_open + 1000 * self.horizon_s
        return [
            Drift(
                id=f"{score.symbol}/{one.name}/{each.name}/{score.ts_target}",
                symbol=score.symbol,
                input=one.name,
                detector=each.name,
                ts=score.ts_target,
                ratio=sum(one.newest) / len(one.newest),
                values=seen,
                false_alarm_days=self._days,
                source=source,
            )
            for one in self._inputs
            if (share := _share(one, score)) is not None
            for each in one.watched
            if (seen := each.take(share))
        ]


def _share(one: _Input, score: Score) -> float | None:
    value = magnitude(score, one.name)
    if value is None:
        return None
    share = one.usual.take(value)
    one.newest.append(one.usual.ratio)
    return share
