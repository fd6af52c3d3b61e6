"""The models that serve one symbol together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stream_app.models.base import Member
from stream_app.models.catalog import KALMAN
from stream_app.models.kalman import KalmanMember
from stream_app.models.kalman_filter import KalmanNoise

UNTRAINED: Final = "untrained"
"""The version before the first training."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelSet:
    """The models that serve one symbol together. Replace the whole set, by one assignment."""

    version: str
    trained_to_ts: int
    """Event time of the last tick that the models learned from, epoch ms."""
    members: Mapping[str, Member]
    noise: KalmanNoise
    trained_in_s: float = 0.0
    """Seconds that one process would have taken to train all four; 0 where that is not known."""

    @property
    def is_trained(self) -> bool:
        """Whether this set comes from a training."""
        return self.trained_to_ts >= 0


def untrained(horizon_bars: int) -> ModelSet:
    """The set before the first training: only the Kalman filter, with its default noise.

    >>> untrained(horizon_bars=1).is_trained
    False
    """
    noise = KalmanNoise()
    return ModelSet(
        version=UNTRAINED,
        trained_to_ts=-1,
        members={KALMAN: KalmanMember(noise=noise, horizon_bars=horizon_bars)},
        noise=noise,
    )
