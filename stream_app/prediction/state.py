"""What a symbol needs, besides its closed bars, to continue just after a tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

from stream_app.messages.schemas import BarForecasts


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolState:
    """The state of one symbol just after a tick; a bar carries it on the bars topic."""

    window: Mapping[str, Any]
    """As `Window.state` gives it."""
    kalman: Mapping[str, float]
    """As `KalmanFilter.to_state` gives it."""
    forecasts: Sequence[tuple[int, float | Mapping[str, Any]]]
    """As `TrackRecord.open_forecasts` gives it; a number in states of versions that said less."""
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
    kalman_before: Sequence[float] = ()
    """`KalmanFilter.before`; empty in bars of when each tick was a measurement of its own."""
    kalman_ahead_before: Sequence[float] = ()
    """The same of the other filter."""
    learned: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """As `TrackRecord.sums` gives it."""
    intervals: Mapping[str, Any] = field(default_factory=dict)
    """As `TrackRecord.interval_state` gives it; empty in bars from before there were intervals."""
    horizon_s: int | None = None
    """Of the forecasts; None in states of versions that did not say it."""
    topic_id: str = ""
    """Of the ticks topic; see `Origin`. Empty in bars from before it was recorded."""
    counts: Sequence[int] = ()
    """As `Origin.counts`. Empty in bars from before it was recorded."""
    home: int | None = None
    """As `Residence.home`. None in bars from before it was recorded."""
    is_anew: bool = False
    """Whether ids name the topic: as `Origin.is_named`. Once only a topic made again was named."""

    def open_forecasts(self) -> list[tuple[int, BarForecasts]]:
        """The forecasts of the open bars."""
        return [(ts, _forecasts(said)) for ts, said in self.forecasts]

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
            elif item.default is item.default_factory is MISSING:
                raise ValueError(f"the state has no {item.name}")
        return cls(**known)


def _forecasts(said: float | Mapping[str, Any]) -> BarForecasts:
    if not isinstance(said, Mapping):
        return BarForecasts(ensemble=said)
    intervals = tuple((level, low, high) for level, low, high in said.get("intervals", ()))
    return BarForecasts(**{**said, "intervals": intervals})
