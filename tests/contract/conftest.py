"""One trained model of each kind, shared by the whole suite: training is what takes the time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_app.models.base import Forecaster, Member
from stream_app.models.catalog import CATALOG
from stream_app.training.process import initialise_process
from tests.contract.worlds import MODELS, SETTINGS, walk_data


@dataclass(frozen=True)
class Trained:
    name: str
    forecaster: Forecaster
    answers: NDArray[np.float64]
    """The forecaster's own, at all training rows."""
    artifact: bytes
    member: Member


def train(name: str) -> Trained:
    forecaster = CATALOG[name].new_forecaster()
    forecaster.fit(walk_data(), SETTINGS)
    artifact = forecaster.export()
    return Trained(
        name=name,
        forecaster=forecaster,
        answers=forecaster.predict(walk_data(), walk_data().rows),
        artifact=artifact,
        member=CATALOG[name].load(artifact, SETTINGS),
    )


@pytest.fixture(scope="session", params=MODELS)
def trained(request: pytest.FixtureRequest) -> Trained:
    return train(request.param)


@pytest.fixture(scope="session")
def spawned() -> Iterator[ProcessPoolExecutor]:
    context = get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=initialise_process) as pool:
        yield pool
