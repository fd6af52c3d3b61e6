"""What a symbol needs to go on from just after one tick, beside its closed bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolState:
    """The state of one symbol just after a tick; a bar carries it on the bars topic."""

    window: Mapping[str, Any]
    """As `Window.state` gives it."""
    kalman: Mapping[str, float]
    """As `KalmanFilter.to_state` gives it."""
    forecasts: Sequence[tuple[int, float]]
    """As `BiasCorrection.state` gives it."""
    version: str
    """Of the models that serve."""
    since: int
    """The offset at which they began to serve."""
    lost_bars: int
    """How many more bars must close until no feature reaches back to lost history."""
    floor: int
    """Of the partition: the offset below which every tick is covered by some symbol's state."""
    kalman_ahead: Mapping[str, float] | None = None
    """Of the filter that took the ticks ahead, while the window holds any."""
    horizon_s: int | None = None
    """Of the forecasts; None in states of versions that did not say it."""

    def to_json(self) -> dict[str, Any]:
        """As a bar carries it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave. Parts that this version does not know are passed over.

        Raises:
            ValueError: a part is missing.
        """
        known = {}
        for item in fields(cls):
            if item.name in state:
                known[item.name] = state[item.name]
            elif item.default is MISSING:
                raise ValueError(f"the state has no {item.name}")
        return cls(**known)
