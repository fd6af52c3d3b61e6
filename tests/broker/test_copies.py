"""A worker that begins with the copy on its disk goes on as one that has never ended."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.kafka.topic_check import Topics
from stream_app.messages.codec import encode_score
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.workers import DEADLINE_S, WorkerProcess, feed, read_all, read_until, read_while

pytestmark = pytest.mark.timeout(300)

COUNT = 4000
PARTS = 4


async def test_killed_again_and_again_it_says_what_one_in_peace_would(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60, min_training_bars=8000, horizon_bars=2)
    ticks = list(walk(COUNT))
    size = COUNT // PARTS
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, log, module="tests.eager_copies") as worker:
        for part in range(PARTS):
            if part:
                bars = copied(worker)
                worker.kill()
                worker.start()
            await feed(settings, ticks[part * size : (part + 1) * size])
            await read_until(worker, topics_on_broker.predictions, (part + 1) * size)
            if part:
                begun = r"restored 1 symbols, (\d+) bars.*from its copy"
                (restored,) = map(int, re.findall(begun, worker.text()))
                assert restored >= bars > 0
            async with asyncio.timeout(DEADLINE_S):
                while copied(worker) < (part + 1) * size // 4 - 15:
                    await asyncio.sleep(0.1)
        scores = await read_while(
            worker,
            topics_on_broker.scores,
            lambda found: len({each["ts_open"] for each in found}) < COUNT // 4 - 3,
        )
        said = await read_until(worker, topics_on_broker.predictions, COUNT)
        assert worker.terminate() == 0, worker.text()

    records = await read_all(settings, topics_on_broker.ticks)
    alone = PartitionPipeline(PredictionSettings.of(settings)).process(records)
    expected = {each.ts_open: orjson.loads(encode_score(each)) for each in alone.scores}
    assert {each["ts_open"] for each in scores} == expected.keys()
    for score in scores:
        assert score == expected[score["ts_open"]]
    assert [_content(each) for each in sorted(said, key=offset_of)] == [
        _content(orjson.loads(value)) for value in alone.predictions.values()
    ]


def offset_of(message: Any) -> int:
    return int(message["source"]["offset"])


def _content(message: Any) -> Any:
    return {name: value for name, value in message.items() if name != "id"}


def copied(worker: WorkerProcess) -> int:
    """Bars in the newest copy since the worker's start."""
    return max(map(int, re.findall(r"a copy of (\d+) bars", worker.text())), default=0)
