"""What is answered leaves nothing behind in the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sized
from itertools import islice
from typing import Any

import pytest

from stream_app.app import Worker
from stream_app.feed.pace import Pace, Speed
from stream_app.feed.producer import connected_producer, produce
from stream_app.feed.synthetic import synthetic_ticks
from stream_app.schemas import Tick
from stream_app.settings import Settings
from stream_app.topics import Topics
from tests.builders import START_MS
from tests.conftest import SettingsFor

pytestmark = pytest.mark.timeout(300)

TICKS = 200
SLACK = 50
"""For what comes and goes: tasks, futures, batches in hand."""


async def feed_one_by_one(settings: Settings, topics: Topics, ticks: Iterable[Tick]) -> None:
    async with connected_producer(settings) as producer:
        await produce(
            ticks,
            producer=producer,
            topic=topics.ticks.name,
            pace=Pace(Speed(per_second=200)),
            on_progress=lambda _count, _ts: None,
        )


def held(owner: object) -> int:
    """How many elements an object's collections hold, those in their values included."""

    def size(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else ()
        count = len(value) if isinstance(value, Sized) and not isinstance(value, str) else 0
        return count + sum(size(item) for item in inner)

    return sum(size(value) for value in vars(owner).values())


async def test_a_worker_keeps_nothing_of_what_it_has_answered(
    settings_for: SettingsFor, topics_on_broker: Topics
) -> None:
    settings = settings_for(bar_seconds=60, training_window_days=1, min_training_bars=1400)
    worker = Worker(settings)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    ticks = synthetic_ticks(symbols=["A"], seed=3, start_ms=START_MS, interval_ms=1000)
    sizes = []
    for turn in (1, 2, 3):
        await feed_one_by_one(settings, topics_on_broker, islice(ticks, TICKS))
        while worker.service.counts["predictions"] < turn * TICKS:
            assert not running.done()
            await asyncio.sleep(0.1)
        sizes.append(held(worker._app.consumer) + held(worker._app.topics))
    stop.set()
    await running
    # The first turn fills what is bounded.
    assert sizes[2] - sizes[1] < SLACK, sizes
