"""The part of the settings that predictions depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from stream_app.clock import HOUR_MS
from stream_app.messages.tick_mapping import TickMapping
from stream_app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSettings:
    """What a partition's pipeline needs to know, and no more: no password reaches it."""

    bar_ms: int
    """Length of a bar."""
    horizon_bars: int
    horizon_by: Literal["time", "bars"]
    window_bars: int
    """How many closed bars a symbol's window holds."""
    sequence_length: int
    """How many bars one LSTM sequence covers."""
    grace_ms: int
    """How far behind the newest tick of its symbol a tick may be and still enter its bar."""
    max_future_ms: float
    """How far after its record's Kafka timestamp a tick's event time may be."""
    tick_mapping: TickMapping
    """The form in which ticks come."""
    weights: Mapping[str, float]
    """Of the ensemble, by model; they sum to 1."""
    shrinkage: bool
    """Whether forecasts count only as far as their own realised ones justify it."""
    interval_levels: tuple[float, ...]
    """Of the prediction intervals, rising."""
    model_max_age_ms: float
    """Event time after which a model is left out of the ensemble."""

    @property
    def horizon_ms(self) -> int:
        """How far ahead a prediction looks, where no bar is without ticks."""
        return self.horizon_bars * self.bar_ms

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the part out of all settings."""
        return cls(
            bar_ms=settings.bar_ms,
            horizon_bars=settings.horizon_bars,
            horizon_by=settings.horizon_by,
            window_bars=settings.window_bars,
            sequence_length=settings.lstm_sequence_length,
            grace_ms=round(settings.grace_seconds * 1000),
            max_future_ms=settings.max_future_seconds * 1000,
            tick_mapping=settings.tick_mapping,
            weights=settings.ensemble_weights,
            shrinkage=settings.shrinkage,
            interval_levels=settings.interval_levels,
            model_max_age_ms=settings.model_max_age_hours * HOUR_MS,
        )
