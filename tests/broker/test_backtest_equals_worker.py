"""A backtest gives what a worker gave, to the last byte."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import orjson
import pytest

from stream_app.kafka.topic_check import Topics
from stream_app.models.model_set import UNTRAINED
from stream_app.offline.predicting import Adoption, predict
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import Answer
from stream_app.prediction.settings import PredictionSettings
from stream_app.registry.store import Registry
from stream_app.training.settings import model_settings
from tests.broker.test_worker import SMALL
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.workers import DEADLINE_S, WorkerProcess, feed, read_all, read_until

pytestmark = pytest.mark.timeout(900)

PARTS = (1000, 1000, 2200, 4000)
"""Ticks, four a bar: the window is long enough for a training after the first part, and twice as
long as at the last one after each of the next two."""


async def test_the_same_ticks_and_versions_give_the_same_predictions(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(**SMALL)
    ticks = iter(walk(sum(PARTS), symbol="A"))
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        for trainings, count in enumerate(PARTS):
            await trained(worker, trainings)
            await feed(settings, [next(ticks) for _ in range(count)])
        said = await read_until(worker, topics_on_broker.predictions, sum(PARTS))
        assert worker.terminate() == 0, worker.text()

    answered = {
        orjson.loads(record.value or b"")["source"]["offset"]: record.value
        for record in await read_all(settings, topics_on_broker.predictions)
    }
    states = [
        orjson.loads(record.value or b"")["state"]
        for record in await read_all(settings, topics_on_broker.bars)
    ]
    adopted = {each["since"]: each["version"] for each in states if each["version"] != UNTRAINED}
    assert len(adopted) >= 3, adopted
    registry = Registry(settings.data_dir, model_settings(settings))
    answers: list[Answer] = []
    predict(
        await read_all(settings, topics_on_broker.ticks),
        PredictionSettings.of(settings),
        [
            Adoption(symbol="A", offset=since, load=partial(registry.load, "A", version))
            for since, version in adopted.items()
        ],
        on_answer=answers.append,
    )
    # Without a broker nothing follows the topic's name in their ids.
    name, suffix = topics_on_broker.ticks.name, Origin(topic_id=states[-1]["topic_id"]).suffix
    made = {
        offset: value.replace(name.encode(), (name + suffix).encode(), 1)
        for answer in answers
        for offset, value in zip(
            answer.predictions.offsets, answer.predictions.values(), strict=True
        )
    }
    assert len(made) == len(answered) == len(said) == sum(PARTS) >= 8000
    assert sum(made[offset] != answered[offset] for offset in made) == 0


async def trained(worker: WorkerProcess, times: int) -> None:
    """Wait until the worker has trained so often."""
    async with asyncio.timeout(5 * DEADLINE_S):
        while worker.text().count("Retraining completed") < times:
            assert worker.process.poll() is None, worker.text()
            await asyncio.sleep(0.2)
