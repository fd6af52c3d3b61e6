"""The parts of the settings that a training needs: frozen, picklable, without a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from stream_app.models.base import ModelSettings
from stream_app.settings import Settings


def model_settings(settings: Settings) -> ModelSettings:
    """The part of the settings that the models know."""
    return ModelSettings(
        bar_ms=settings.bar_ms,
        horizon_bars=settings.horizon_bars,
        horizon_by=settings.horizon_by,
        sequence_length=settings.lstm_sequence_length,
        lstm_layers=settings.lstm_layers,
        lstm_batch_size=settings.lstm_batch_size,
        lstm_epochs=settings.lstm_epochs,
        seed=settings.model_seed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """When a symbol is due for a training."""

    interval_s: float
    min_bars: int
    """How many closed bars a window needs before its symbol is first trained."""
    early_every_s: float
    """An alarm of drift lets a symbol be trained early at most once in this time."""
    target_s: float
    """Symbols that need no more are due together; more are due one after the other."""
    processes: int
    """That train."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainSettings:
    """What a retrain cycle needs to know."""

    models: ModelSettings
    schedule: ScheduleSettings
    target_s: float
    """Within which a cycle trains what it takes on."""
    deadline_s: float
    """For one symbol, from its first job's begin; then its jobs are ended."""
    processes: int
    """Of the pool: how many jobs run at once."""
    lstm_warm_start: bool
    weights: Mapping[str, float]
    """Of the ensemble, by model: the gate judges what would be published."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the part out of all settings."""
        return cls(
            models=model_settings(settings),
            schedule=ScheduleSettings(
                interval_s=settings.retrain_interval_hours * 3600,
                min_bars=settings.min_training_bars,
                early_every_s=settings.drift_retrain_min_seconds,
                target_s=settings.retrain_target_seconds,
                processes=settings.retrain_processes,
            ),
            target_s=settings.retrain_target_seconds,
            deadline_s=settings.retrain_deadline_seconds,
            processes=settings.retrain_processes,
            lstm_warm_start=settings.lstm_warm_start,
            weights=settings.ensemble_weights,
        )
