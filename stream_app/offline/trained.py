"""The four models of one retrain of a backtest: what the gate is asked of them, and what serves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.models.base import ModelSettings
from stream_app.models.catalog import CATALOG, KALMAN
from stream_app.models.kalman import noise_of
from stream_app.models.model_set import ModelSet
from stream_app.offline.windows import Retrain
from stream_app.training.gate_job import GateJob, StandingChampion
from stream_app.training.job import TrainedModel

RetrainKey = tuple[str, int]
"""Symbol and event time of a retrain, epoch ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """All models of one retrain."""

    retrain: Retrain
    models: Mapping[str, TrainedModel]
    settings: ModelSettings

    @property
    def key(self) -> RetrainKey:
        """Its symbol and event time."""
        return self.retrain.symbol, self.retrain.ts

    def gate_job(self, weights: Mapping[str, float], champion: Trained | None) -> GateJob:
        """What the gate is asked about it.

        Args:
            weights: of the ensemble.
            champion: that serves then.
        """
        bars = self.retrain.bars
        standing = None
        if champion is not None:
            standing = StandingChampion(
                artifacts={name: model.artifact for name, model in champion.models.items()},
                trained_to_ts=int(champion.retrain.bars.ts_last[-1]),
            )
        return GateJob(
            symbol=self.retrain.symbol,
            bars=bars,
            settings=self.settings,
            weights=weights,
            artifacts={name: model.artifact for name, model in self.models.items()},
            data_to=int(bars.ts_last[-1]),
            champion=standing,
        )

    @property
    def version(self) -> str:
        """Its name, which follows from its time and its artifacts."""
        artifacts = b"".join(self.models[name].artifact for name in CATALOG)
        return f"{self.retrain.ts}-{hashlib.sha256(artifacts).hexdigest()[:8]}"

    def load(self) -> ModelSet:
        """Ready to answer. Blocks for milliseconds."""
        members = {
            name: spec.load(self.models[name].artifact, self.settings)
            for name, spec in CATALOG.items()
        }
        return ModelSet(
            version=self.version,
            trained_to_ts=int(self.retrain.bars.ts_last[-1]),
            members=members,
            noise=noise_of(members[KALMAN]),
        )
