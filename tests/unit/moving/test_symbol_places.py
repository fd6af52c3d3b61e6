"""How many partitions there are: brokers may say it late, and never take any away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream_app.kafka.placement import partition_of
from stream_app.kafka.topic_check import load_topics
from stream_app.moving.symbol_places import SymbolPlaces
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.recovery.log_access import LogAccess, Readers
from tests.builders import settings

MOVED = next(f"S{at}" for at in range(100) if partition_of(b"S%d" % at, range(6)) == 5)


async def test_a_broker_that_has_not_heard_of_more_partitions_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen, asked = settings(), []
    pipeline = PartitionPipeline(PredictionSettings.of(chosen), partition=5)
    nothing: Any = None
    places = SymbolPlaces(
        LogAccess(
            settings=chosen,
            topics=load_topics(Path(chosen.topics_file)),
            readers=Readers({}),
            on_progress=lambda: None,
        ),
        pipelines=lambda: [pipeline],
        load_models=nothing,
        publish_bars=nothing,
        on_brought=lambda: None,
        on_widened=lambda: asked.append(1),
    )

    async def none_known(_count: int) -> set[int]:
        return set()

    monkeypatch.setattr(places._counts, "_read_newest", none_known)
    await places.note_count(4)
    await places.learn(set())
    await places.note_count(6)
    symbol = pipeline.pipeline_of(MOVED)
    assert symbol.residence.is_home
    await places.note_count(4)  # by a broker that is late
    assert places.count == 6
    assert symbol.residence.is_home
    await places.note_count(6)
    assert len(asked) == 1
