"""When a retrain is due, why, and for which symbols: under an injected clock, nothing waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stream_app.clock import Clock
from stream_app.messages.schemas import RetrainTrigger
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.training.settings import ScheduleSettings

GROWTH: Final = 2.0
"""A window this many times longer than the one learned from is worth a retrain of its own."""


class RetrainSchedule:
    """Every interval for all symbols; between, for those that are new or have grown."""

    def __init__(self, settings: ScheduleSettings, clock: Clock) -> None:
        self._interval_s = settings.interval_s
        self._min_bars = settings.min_bars
        self._clock = clock
        self._next = clock.monotonic() + self._interval_s
        self._trained_bars: dict[str, int] = {}

    def due(
        self, here: Mapping[str, SymbolPipeline]
    ) -> tuple[RetrainTrigger, list[SymbolPipeline]] | None:
        """Whether a cycle should start now, why, and for which of the symbols that are here."""
        ready = [item for item in here.values() if len(item.window) >= self._min_bars]
        for gone in self._trained_bars.keys() - here.keys():
            del self._trained_bars[gone]  # should it come back, its models here may be old
        if self._clock.monotonic() >= self._next:
            return ("scheduled", ready) if ready else None
        if fresh := [item for item in ready if item.symbol not in self._trained_bars]:
            return "initial", fresh
        grown = [
            item for item in ready if len(item.window) >= GROWTH * self._trained_bars[item.symbol]
        ]
        return ("growth", grown) if grown else None

    def begun(self, trigger: RetrainTrigger, bars: Mapping[str, int]) -> None:
        """Note that a cycle begins, before its outcome is known.

        A symbol that fails is so tried again by the schedule, or when its window has grown, not
        in a loop. Missed times are made up by one cycle.

        Args:
            trigger: as `due` gave it.
            bars: by symbol, the length of the window that it learns from.
        """
        self._trained_bars.update(bars)
        if trigger == "scheduled":
            missed = (self._clock.monotonic() - self._next) // self._interval_s
            self._next += (missed + 1) * self._interval_s
