"""Several workers of one group on one machine: none loses a tick, none answers without history."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stream_app.kafka.topic_check import Topics
from stream_app.settings import Settings
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, begin_anew, feed_until, read_all, read_until, read_while

pytestmark = pytest.mark.timeout(600)

SYMBOLS = [f"S{number}" for number in range(8)]


async def serves(worker: WorkerProcess) -> None:
    """Wait until the worker has been given a partition and restored it."""
    await worker.until("restored")


async def test_a_worker_joins_leaves_and_is_killed_while_ticks_flow(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    # Models held fixed: too few bars to train. Both workers have the same settings, as two
    # started on one machine have: the same port too.
    settings = settings_for(
        bar_seconds=60, training_window_days=1, min_training_bars=1400, web_port=6066
    )
    stop = asyncio.Event()
    feeding = asyncio.create_task(feed_until(stop, settings, SYMBOLS))
    with (
        WorkerProcess(settings, tmp_path / "one.log") as one,
        WorkerProcess(settings, tmp_path / "two.log") as two,
    ):
        await serves(one)
        await serves(two)
        assert two.terminate() == 0, two.text()  # leaves cleanly
        await asyncio.sleep(1)
        two.start()
        await serves(two)
        two.kill()
        await asyncio.sleep(1)
        two.start()
        await serves(two)
        stop.set()
        count = await feeding
        messages = await read_until(one, topics_on_broker.predictions, count)
        assert one.terminate() == 0, one.text()
        assert two.terminate() == 0, two.text()
    by_id = agreeing(messages)
    assert len(by_id) == count
    await same_as_undisturbed(settings_for, settings, topics_on_broker, by_id, tmp_path)


def agreeing(messages: list[Any]) -> dict[str, Any]:
    by_id: dict[str, Any] = {}
    for message in messages:
        assert by_id.setdefault(message["id"], message) == message, "two of one id differ"
    return by_id


async def same_as_undisturbed(
    settings_for: SettingsFor,
    settings: Settings,
    topics: Topics,
    by_id: dict[str, Any],
    folder: Path,
) -> None:
    """Another group goes through the same ticks in peace, and must say the same."""
    overrides = {
        name: getattr(settings, name)
        for name in ("bar_seconds", "training_window_days", "min_training_bars")
    }
    again = settings_for(**overrides, data_dir=folder / "again")
    before = len(await read_all(settings, topics.predictions))
    await begin_anew(again)
    with WorkerProcess(again, folder / "again.log") as worker:
        messages = await read_while(
            worker, topics.predictions, lambda messages: len(messages) < before + len(by_id)
        )
        assert worker.terminate() == 0, worker.text()
    assert len(messages) == before + len(by_id)
    agreeing([*by_id.values(), *messages])
