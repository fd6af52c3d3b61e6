"""What a backtest runs with."""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.models.base import ModelSettings
from stream_app.prediction.settings import PredictionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSettings:
    """What a backtest runs with."""

    prediction: PredictionSettings
    models: ModelSettings
    retrain_every_ms: int
    processes: int
    """In which a worker trains."""
    min_bars: int
    """How many closed bars a window needs before its symbol is first trained."""
    latency_ms: int | None = None
    """How long after a retrain begins its models serve, in event time. None to measure it: a turn
    with the longest window."""
    score_from: int | None = None
    """Forecasts before this event time are not scored; epoch ms."""
    score_to: int | None = None
    """Nor are those at or after this one; and no retrain is made then."""

    @property
    def needed_to(self) -> int | None:
        """The event time after which no tick is needed, epoch ms; None where that is unknown."""
        given = self.prediction
        if self.score_to is None or given.horizon_by == "bars":
            return None
        return self.score_to + given.horizon_ms + 2 * given.bar_ms + given.grace_ms
