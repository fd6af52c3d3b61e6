from __future__ import annotations

import pytest

from stream_app.models.catalog import CATALOG
from stream_app.registry.manifest import TrainedSet
from tests.builders import TrainedArtifacts


@pytest.fixture
def trained(trained_artifacts: TrainedArtifacts) -> TrainedSet:
    return TrainedSet(
        symbol="BTC/USD",
        artifacts=trained_artifacts,
        seconds=dict.fromkeys(CATALOG, 1.0),
        rows=100,
        data_from=1,
        data_to=2,
    )
