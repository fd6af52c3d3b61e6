"""`apply_topics` returns when the broker shows what was changed: it acknowledges before that."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream_app.kafka import topic_check
from stream_app.kafka.topic_admin import ActualTopic
from stream_app.kafka.topic_check import apply_topics, check_topics, load_topics
from stream_app.kafka.topics import TopicSpec

ROOT = Path(__file__).parents[3]
LAG = 3


class SlowBroker:
    """Shows each change only some answers later, as a Kafka broker under load."""

    def __init__(self, topics: Iterable[TopicSpec]) -> None:
        self.now = {spec.name: actual(spec) for spec in topics}
        self.shown = [dict(self.now)] * LAG

    async def describe(self, _names: Iterable[str]) -> dict[str, ActualTopic]:
        self.shown.append({name: replace(topic) for name, topic in self.now.items()})
        return self.shown[-LAG]

    async def create(self, spec: TopicSpec) -> None:
        self.now[spec.name] = actual(spec)

    async def raise_partitions(self, name: str, _actual: ActualTopic, count: int) -> None:
        self.now[name] = replace(self.now[name], partitions=count)

    async def set_config(self, name: str, _actual: ActualTopic, key: str, value: str) -> None:
        configs = self.now[name].configs | {key: value}
        self.now[name] = replace(self.now[name], configs=configs)


def actual(spec: TopicSpec) -> ActualTopic:
    return ActualTopic(spec.partitions, spec.replication, dict(spec.configs))


@pytest.mark.parametrize("change", ["none there", "fewer partitions", "another config"])
async def test_what_was_applied_is_there_for_whoever_looks_next(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    topics = load_topics(ROOT / "topics.yaml")
    there = {
        "none there": [],
        "fewer partitions": [replace(spec, partitions=1) for spec in topics.specs],
        "another config": [
            replace(spec, configs=dict(spec.configs) | {"cleanup.policy": "other"})
            for spec in topics.specs
        ],
    }[change]
    broker = SlowBroker(there)

    @contextlib.asynccontextmanager
    async def connected(_client: Any) -> AsyncIterator[SlowBroker]:
        yield broker

    monkeypatch.setattr(topic_check, "connected", connected)
    monkeypatch.setattr(topic_check, "_POLL_S", 0)

    applied = await apply_topics(topics, {})

    assert applied.changes
    assert (await check_topics(topics, {})).mismatches == ()
