"""Members with known answers, for tests of what surrounds the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_app.messages.schemas import Champion, ChampionBy
from stream_app.models.base import Member, Rows
from stream_app.models.kalman import KalmanMember
from stream_app.models.kalman_filter import KalmanNoise
from stream_app.models.model_set import ModelSet
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.champion_log import ChampionLog


@dataclass(frozen=True, eq=False)
class ConstantMember:
    """Says the same log return for every tick."""

    value: float
    needs_features: ClassVar[bool] = True

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        return np.full(len(rows.log_price), self.value)


@dataclass(frozen=True, eq=False)
class FeatureMember:
    """A fixed mixture of features and history: any slip in either changes the answer."""

    scale: float
    needs_features: ClassVar[bool] = True

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        assert rows.features is not None
        weights = np.linspace(-1, 1, rows.features.shape[1])
        past = np.array([history.rows.sum(dtype=np.float64) for history in rows.histories])
        live = rows.features.astype(np.float64) @ weights
        mixed: NDArray[np.float64] = self.scale * np.tanh(live + past[rows.history_index])
        return mixed


class ServedAtOnce:
    """The champions topic without a broker: what is promoted serves at once."""

    def __init__(self, symbols: Mapping[str, SymbolPipeline]) -> None:
        self._symbols = symbols
        self.log = ChampionLog()

    def say(self, name: str, version: str, by: ChampionBy, *, pinned: bool = False) -> bool:
        said = Champion(
            symbol=name,
            version=version,
            since="2026-01-01T00:00:00+00:00",
            by=by,
            why="",
            pinned=pinned,
            worker="w1",
        )
        return self.log.take(said)

    def is_pinned(self, name: str) -> bool:
        standing = self.log.standing(name)
        return standing is not None and standing.pinned

    def standing(self, name: str) -> Champion | None:
        return self.log.standing(name)

    def needed(self, name: str) -> set[str]:
        return self.log.needed(name)

    async def promote(self, name: str, models: ModelSet) -> bool:
        if not self.say(name, models.version, "retrain"):
            return False
        if name in self._symbols:
            self._symbols[name].models = models
        return True


def model_set(
    members: Mapping[str, Member] | None = None,
    *,
    version: str = "v1",
    trained_to_ts: int = 0,
    horizon_bars: int = 1,
    q_level: float = 2e-7,
) -> ModelSet:
    noise = KalmanNoise(q_level=q_level, q_velocity=1e-9, r=1e-9)
    given: Mapping[str, Member] = (
        members
        if members is not None
        else {
            "random_forest": FeatureMember(0.001),
            "lightgbm": FeatureMember(-0.002),
            "lstm": FeatureMember(0.0005),
        }
    )
    return ModelSet(
        version=version,
        trained_to_ts=trained_to_ts,
        members={"kalman": KalmanMember(noise, horizon_bars), **given},
        noise=noise,
    )
