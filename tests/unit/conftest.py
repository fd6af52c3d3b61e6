from __future__ import annotations

import pytest

from stream_app.models.catalog import CATALOG
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.training.job import TrainingJob, run_job
from stream_app.training.settings import model_settings
from tests.builders import SteppedClock, TrainedArtifacts, records, settings, walk


@pytest.fixture(scope="session")
def trained_artifacts() -> TrainedArtifacts:
    """The four models, really trained, on a small window; by name."""
    partition = PartitionPipeline(PredictionSettings.of(settings()))
    partition.process(records(walk(4 * 260)))
    bars = partition.symbols["BTC"].window.columns()
    return {
        name: run_job(
            TrainingJob(symbol="BTC", model=name, bars=bars, settings=model_settings(settings()))
        ).artifact
        for name in CATALOG
    }


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()
