"""How far a partition is answered is read without keeping its bars."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stream_app.kafka.place import Place
from stream_app.kafka.topic_check import load_topics
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery import coverage
from stream_app.recovery.bar_log import BarLog
from stream_app.recovery.log_access import LogAccess, Readers
from tests.builders import bar_record, records, settings, walk


async def test_bars_that_were_read_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings()
    partition = PartitionPipeline(PredictionSettings.of(chosen))
    bars = partition.process(records(walk(2000))).bars
    logs: list[BarLog] = []
    kept = []

    class Watched(BarLog):
        def __init__(self, *args: Any, **given: Any) -> None:
            super().__init__(*args, **given)
            logs.append(self)

    async def read(*_: Any) -> AsyncIterator[Any]:
        for at, bar in enumerate(bars):
            yield bar_record(bar, at)
            kept.append(sum(map(len, logs[0]._closed.values())))

    @asynccontextmanager
    async def one() -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(coverage, "BarLog", Watched)
    monkeypatch.setattr(coverage, "read_range", read)
    monkeypatch.setattr(coverage, "FORGOTTEN_EACH", 50)
    readers = Readers({})
    monkeypatch.setattr(readers, "one", one)
    access = LogAccess(
        settings=chosen,
        topics=load_topics(Path(chosen.topics_file)),
        readers=readers,
        on_progress=lambda: None,
    )
    place = Place(
        topic="market.ticks.v1",
        group="g",
        partition=0,
        topic_id="",
        first=0,
        end=2000,
        committed=None,
        committed_topic_id="",
    )
    assert await coverage.read_coverage(access, place) == bars[-1].state["floor"]
    assert len(bars) > 400
    assert max(kept) <= 51
