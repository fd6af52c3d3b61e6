"""What is answered leaves nothing behind in the worker."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import aiohttp
import pytest

from stream_app.brokers.process import free_ports
from stream_app.feed.synthetic import synthetic_ticks
from stream_app.kafka.topic_check import Topics
from tests.builders import START_MS
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, feed, read_until

pytestmark = pytest.mark.timeout(300)

TICKS = 200
SLACK = 50
"""For what comes and goes: tasks, futures, batches in hand."""


async def test_a_worker_keeps_nothing_of_what_it_has_answered(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(
        bar_seconds=60, training_window_days=1, min_training_bars=1400, web_port=free_ports(1)[0]
    )
    ticks = synthetic_ticks(symbols=["A"], seed=3, start_ms=START_MS, interval_ms=1000)
    url = f"http://{settings.web_host}:{settings.web_port}/status"
    sizes = []
    with WorkerProcess(settings, tmp_path / "log", module="tests.counting") as worker:
        for turn in (1, 2, 3):
            await feed(settings, islice(ticks, TICKS), per_second=200)
            await read_until(worker, topics_on_broker.predictions, turn * TICKS)
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                sizes.append((await response.json())["held"])
    # The first turn fills what is bounded.
    assert sizes[2] - sizes[1] < SLACK, sizes
