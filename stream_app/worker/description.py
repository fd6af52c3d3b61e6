"""What the metrics say of a worker itself: its version, and the settings that alerts need."""

from __future__ import annotations

import platform
from importlib.metadata import version

from stream_app.ops import metrics
from stream_app.settings import Settings


def describe(settings: Settings) -> None:
    """Set the metrics that do not change. Called once, at the start."""
    metrics.BUILD.info({"version": version("stream-app"), "python": platform.python_version()})
    metrics.RETRAIN_INTERVAL.set(settings.retrain_interval_hours * 3600)
    metrics.RETRAIN_TARGET.set(settings.retrain_target_seconds)
    for level in settings.interval_levels:
        metrics.LEVELS.labels(str(level)).set(level)
