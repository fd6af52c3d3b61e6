"""What `verify` counts of predictions, with a topic that is made up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from stream_app.commands import verify
from tests.builders import START_MS, FakeRecord, settings
from tests.topic_records import prediction


class FakeTopic:
    """Four partitions; each time somebody looks at their ends, what has come meanwhile is there."""

    def __init__(self, ends: list[dict[int, int]], newest: list[FakeRecord]) -> None:
        self._ends = ends
        self._newest = newest

    @asynccontextmanager
    async def reader(self, *_: Any, **__: Any) -> AsyncIterator[FakeTopic]:
        yield self

    async def ends(self, *_: Any) -> dict[int, int]:
        return self._ends.pop(0) if len(self._ends) > 1 else self._ends[0]

    async def last(self, *_: Any) -> list[FakeRecord]:
        return self._newest


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ([{0: 5_000_000, 1: 7}, {0: 5_000_001, 1: 9}], "3 new"),
        ([{0: 5, 1: 7}, {0: 5, 1: 7}], "none within 0.3 s: no ticks come, or no worker answers"),
    ],
)
async def test_new_predictions_are_counted_also_where_a_partition_was_empty(
    ends: list[dict[int, int]], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention has removed all predictions of a partition whose feed was silent for a week."""
    topic = FakeTopic(ends, [replace(prediction(START_MS), offset=5_000_000)])
    monkeypatch.setattr("stream_app.kafka.reader.open_reader", topic.reader)
    monkeypatch.setattr("stream_app.kafka.reader.read_last", topic.last)
    monkeypatch.setattr("stream_app.kafka.reader.topic_ends", topic.ends)
    newest, check = await verify._predictions(settings(), 0.3)
    assert list(newest) == ["BTC-USD"]
    assert check.detail.startswith(told)
    assert check.passed == told.startswith("3")
