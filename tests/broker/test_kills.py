"""`kill -9` of the worker at random moments: no tick, no prediction and no model is lost."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream_app.brokers import Broker
from stream_app.brokers.embedded import EmbeddedBroker
from stream_app.feed.synthetic import synthetic_ticks
from stream_app.kafka.topic_check import Topics
from stream_app.settings import Settings
from tests.agreement import compare, versions
from tests.builders import START_MS
from tests.conftest import SettingsFor
from tests.figures import LONG, note
from tests.workers import WorkerProcess, begin_anew, feed, read_until, read_while

pytestmark = pytest.mark.timeout(1800 if LONG else 600)

LAST_WORDS = 300
"""Ticks that are sent when all kills are over."""


@dataclass(frozen=True)
class Size:
    ticks: int
    kills: int


def size_on(broker: Broker) -> Size:
    """The embedded broker reads ticks that came one by one slower than they come: never long."""
    is_long = LONG and not isinstance(broker, EmbeddedBroker)
    return Size(ticks=100_000, kills=20) if is_long else Size(ticks=6_000, kills=2)


async def killed_again_and_again(
    worker: WorkerProcess, rng: random.Random, kills: int, *, trained: bool
) -> None:
    """Each time when it has restored a partition, or retrained, and then a moment more."""
    for number in range(kills):
        await worker.until("(all 4 models)" if trained and number % 2 else "restored")
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        worker.kill()
        worker.start()
    await worker.until("Worker started")


async def run(
    settings: Settings, topics: Topics, log: Path, size: Size, *, symbols: int, trained: bool
) -> list[Any]:
    rng = random.Random(symbols)  # noqa: S311 - moments, no secrets
    names = [f"S{number}" for number in range(symbols)]
    endless = synthetic_ticks(symbols=names, seed=5, start_ms=START_MS, interval_ms=15_000)
    ticks = list(itertools.islice(endless, size.ticks))
    per_second = size.ticks / (12.0 * size.kills)
    feeding = asyncio.create_task(feed(settings, ticks[:-LAST_WORDS], per_second))
    with WorkerProcess(settings, log) as worker:
        await killed_again_and_again(worker, rng, size.kills, trained=trained)
        await feeding
        if trained:
            await worker.until("(all 4 models)")
        await feed(settings, ticks[-LAST_WORDS:], 1000)
        messages = await read_until(worker, topics.predictions, size.ticks)
        assert worker.terminate() == 0, worker.text()
    return messages


async def test_with_the_models_held_fixed_the_union_is_that_of_an_undisturbed_run(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, broker: Broker
) -> None:
    # More bars than the ticks make: no training.
    small = {"bar_seconds": 60, "training_window_days": 5, "min_training_bars": 7200}
    size, settings = size_on(broker), settings_for(**small)
    log = tmp_path / "worker.log"
    messages = await run(settings, topics_on_broker, log, size, symbols=6, trained=False)
    lost, duplicated, differing = compare(messages, size.ticks)
    note(
        f"{size.kills} kills in {size.ticks:,} ticks, models fixed, {broker.name}",
        "0 lost, 0 differing",
        f"{lost} lost, {duplicated} duplicated, {differing} differing",
    )
    assert (lost, differing) == (0, 0)

    # The same ticks once more in peace, by another group: every message must be like its twin.
    again = settings_for(**small, data_dir=tmp_path / "again")
    await begin_anew(again)
    with WorkerProcess(again, tmp_path / "again.log") as worker:
        together = len(messages) + size.ticks
        both = await read_while(
            worker, topics_on_broker.predictions, lambda both: len(both) < together
        )
        assert worker.terminate() == 0, worker.text()
    assert len(both) == together
    _, _, differing = compare(both, size.ticks)
    note("beside the undisturbed run", "0 differing", f"{differing} differing")
    assert differing == 0


async def test_with_retrains_none_is_lost_and_twins_agree_or_name_other_versions(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, broker: Broker
) -> None:
    settings = settings_for(
        bar_seconds=60,
        training_window_days=1,
        min_training_bars=200,
        lstm_epochs=1,
        retrain_interval_hours=10 / 3600,
    )
    size, log = size_on(broker), tmp_path / "worker.log"
    messages = await run(settings, topics_on_broker, log, size, symbols=2, trained=True)
    lost, duplicated, differing = compare(messages, size.ticks)
    named = {version for message in messages for version in versions(message).values()}
    note(
        f"{size.kills} kills in {size.ticks:,} ticks, a retrain every 10 s, {broker.name}",
        "0 lost, 0 differing under the same versions",
        f"{lost} lost, {duplicated} duplicated, {differing} differing; {len(named)} versions",
    )
    assert (lost, differing) == (0, 0)
    assert len(named) > 1, "no retrain ended in this run"
