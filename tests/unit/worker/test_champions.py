"""What a worker makes of the champions topic, record by record.

The broker's part is in `tests/broker/test_champions.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stream_app.errors import ArtifactError
from stream_app.kafka.topic_check import load_topics
from stream_app.messages.codec import encode_champion
from stream_app.messages.schemas import Champion
from stream_app.models.model_set import ModelSet
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.registry.manifest import TrainedSet
from stream_app.registry.object_store import ObjectStore
from stream_app.registry.store import Registry
from stream_app.registry.versions import Versions
from stream_app.training.settings import model_settings
from stream_app.worker.champions import Champions
from tests.builders import TrainedArtifacts, settings
from tests.fakes import model_set

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Topic:
    """A worker's view of the topic; what it publishes is read back when the test says so."""

    champions: Champions = field(init=False)
    registry: Registry
    symbols: dict[str, SymbolPipeline]
    published: list[Champion] = field(default_factory=list)
    offsets: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    async def read(self, champion: Champion | bytes) -> None:
        value = champion if isinstance(champion, bytes) else encode_champion(champion)

        @dataclass
        class Record:
            offset: int = next(self.offsets)
            topic: str = "champions"
            value: bytes = b""

        await self.champions._follow(Record(value=value))

    async def read_back(self) -> None:
        while self.published:
            await self.read(self.published.pop(0))


class Noon:
    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def topic(tmp_path: Path) -> Topic:
    chosen = settings()
    pipeline = SymbolPipeline("A", PredictionSettings.of(chosen))
    made = Topic(Registry(tmp_path, model_settings(chosen)), {"A": pipeline})

    async def publish(champion: Champion) -> None:
        made.published.append(champion)

    made.champions = Champions(
        topic=load_topics(chosen.topics_file).champions,
        client_settings={},
        versions=Versions(made.registry),
        symbols=lambda: made.symbols,
        publish=publish,
        clock=Noon(),
        worker="me",
    )
    return made


@pytest.fixture
def versions(topic: Topic, trained_artifacts: TrainedArtifacts) -> list[ModelSet]:
    """Two of A on disk."""
    return [
        topic.registry.publish(
            TrainedSet(
                symbol="A", artifacts=trained_artifacts, seconds={}, rows=1, data_from=0, data_to=1
            ),
            now=NOON.replace(hour=hour),
        )
        for hour in (1, 2)
    ]


def said(version: str, by: Any, *, pinned: bool = False, worker: str = "other") -> Champion:
    return Champion(
        symbol="A",
        version=version,
        since=NOON.isoformat(),
        by=by,
        why="",
        pinned=pinned,
        worker=worker,
    )


async def test_what_is_named_serves_and_what_serves_is_not_loaded_again(
    topic: Topic, versions: list[ModelSet]
) -> None:
    for models in (*versions, versions[0]):
        await topic.read(said(models.version, "rollback"))
        serving = topic.symbols["A"].models
        assert serving.version == models.version
        await topic.read(said(models.version, "unpin"))
        assert topic.symbols["A"].models is serving


async def test_a_promotion_serves_once_it_is_read_back_and_not_before(
    topic: Topic, versions: list[ModelSet]
) -> None:
    promoting = asyncio.create_task(topic.champions.promote("A", versions[0]))
    while not topic.published:
        await asyncio.sleep(0)
    (champion,) = topic.published
    assert (champion.by, champion.pinned, champion.worker) == ("retrain", False, "me")
    assert champion.since == "2026-01-01T12:00:00.000+00:00"
    assert not topic.symbols["A"].models.is_trained
    await topic.read_back()
    assert await promoting
    assert topic.symbols["A"].models is versions[0]
    assert topic.champions.needed("A") == {versions[0].version}


async def test_two_symbols_with_the_same_version_are_promoted_side_by_side(
    topic: Topic, versions: list[ModelSet]
) -> None:
    topic.symbols["B"] = SymbolPipeline("B", PredictionSettings.of(settings()))
    promoting = [
        asyncio.create_task(topic.champions.promote(name, versions[0])) for name in ("A", "B")
    ]
    while len(topic.published) < len(promoting):
        await asyncio.sleep(0)
    await topic.read_back()
    async with asyncio.timeout(60):
        assert await asyncio.gather(*promoting) == [True, True]


async def test_a_rollback_that_comes_after_a_promotion_holds(
    topic: Topic, versions: list[ModelSet]
) -> None:
    promoting = asyncio.create_task(topic.champions.promote("A", versions[1]))
    while not topic.published:
        await asyncio.sleep(0)
    await topic.read(topic.published.pop())
    await topic.read(said(versions[0].version, "rollback"))
    assert await promoting
    assert topic.symbols["A"].models.version == versions[0].version


async def test_a_pin_that_crosses_a_promotion_holds_and_is_said_once_more(
    topic: Topic, versions: list[ModelSet]
) -> None:
    promoting = asyncio.create_task(topic.champions.promote("A", versions[1]))
    while not topic.published:
        await asyncio.sleep(0)
    promoted = topic.published.pop()
    pin = said(versions[0].version, "pin", pinned=True)
    await topic.read(pin)
    await topic.read(promoted)
    assert not await promoting
    assert topic.published == [replace(pin, worker="me")]
    await topic.read_back()
    assert topic.symbols["A"].models.version == versions[0].version
    assert topic.champions.is_pinned("A")
    assert topic.published == []


async def test_another_workers_promotion_under_a_pin_is_left_to_that_worker(
    topic: Topic, versions: list[ModelSet]
) -> None:
    await topic.read(said(versions[0].version, "pin", pinned=True))
    await topic.read(said(versions[1].version, "retrain"))
    assert topic.published == []
    assert topic.symbols["A"].models.version == versions[0].version


async def test_a_version_that_is_gone_and_a_record_that_is_none_leave_what_serves(
    topic: Topic, versions: list[ModelSet], caplog: pytest.LogCaptureFixture
) -> None:
    await topic.read(said(versions[0].version, "pin"))
    serving = topic.symbols["A"].models
    for value in (b"", b"{}", b"[1]", b"\xff"):
        await topic.read(value)
    await topic.read(said("20250101T000000Z-00000000", "pin"))
    assert topic.symbols["A"].models is serving
    assert caplog.text.count("left out") == 4
    assert "A: the version to serve is unavailable" in caplog.text


async def test_a_symbol_that_was_away_is_looked_at_again_when_it_is_restored(
    topic: Topic, versions: list[ModelSet]
) -> None:
    away = topic.symbols.pop("A")
    away.models = model_set(version="old")
    await topic.read(said(versions[0].version, "rollback"))
    topic.symbols["A"] = away
    topic.champions.look_again()
    async with asyncio.timeout(60):
        while topic.symbols["A"].models.version != versions[0].version:
            await asyncio.sleep(0.001)


class Store:
    """Versions of an object store, of which one is damaged and comes when the test says so."""

    has_store = True

    def __init__(self, disk: Versions, damaged: str) -> None:
        self._disk, self._damaged = disk, damaged
        self.may_come = asyncio.Event()
        self._here: set[str] = set()

    async def on_disk(self, name: str, version: str) -> ModelSet:
        if version not in self._here:
            raise ArtifactError("it is not on the disk")
        return await self._disk.on_disk(name, version)

    async def load(self, name: str, version: str) -> ModelSet:
        await self.may_come.wait()
        if version == self._damaged:
            raise ArtifactError("it is damaged")
        self._here.add(version)
        return await self._disk.on_disk(name, version)


async def test_a_version_that_is_named_while_another_is_fetched_serves(
    topic: Topic, versions: list[ModelSet], caplog: pytest.LogCaptureFixture
) -> None:
    damaged, good = versions
    store: Any = Store(topic.champions._versions, damaged.version)
    topic.champions._versions = topic.champions._fetches._versions = store
    await topic.read(said(damaged.version, "rollback"))
    await asyncio.sleep(0)
    await topic.read(said(good.version, "rollback"))
    store.may_come.set()
    async with asyncio.timeout(60):
        while topic.symbols["A"].models.version != good.version:
            await asyncio.sleep(0.001)
    assert "A: the version to serve is unavailable: it is damaged" in caplog.text


async def test_a_fault_while_a_version_is_let_serve_is_in_the_log(
    topic: Topic, versions: list[ModelSet], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        has_store = False

        async def on_disk(self, name: str, version: str) -> ModelSet:
            raise OSError("the disk is gone")

    await topic.read(said(versions[0].version, "rollback"))
    topic.symbols["A"].models = model_set(version="old")
    broken: Any = Broken()
    topic.champions._versions = broken
    topic.champions.look_again()
    async with asyncio.timeout(60):
        while "the disk is gone" not in caplog.text:
            await asyncio.sleep(0.001)


async def test_a_standby_has_models_once_the_named_version_is_loaded(
    topic: Topic, versions: list[ModelSet]
) -> None:
    symbols, champions = topic.symbols.values(), topic.champions
    assert champions.have_models(symbols), "nobody has any"
    away = topic.symbols.pop("A")
    await topic.read(said(versions[0].version, "retrain"))
    topic.symbols["A"] = away  # its bars have come after the record
    assert not champions.have_models(symbols)
    async with asyncio.timeout(60):
        while not champions.have_models(symbols):
            await asyncio.sleep(0.001)
    assert away.models.version == versions[0].version
    topic.symbols.pop("A")
    await topic.read(said(versions[1].version, "retrain"))
    topic.symbols["A"] = away
    assert champions.have_models(symbols), "the version before is enough for a moment"


async def test_a_version_that_is_gone_keeps_no_standby_waiting(
    topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    away = topic.symbols.pop("A")
    await topic.read(said("20250101T000000Z-00000000", "retrain"))
    topic.symbols["A"] = away
    async with asyncio.timeout(60):
        while not topic.champions.have_models(topic.symbols.values()):
            await asyncio.sleep(0.001)
    assert caplog.text.count("A: the version to serve is unavailable") == 1


async def test_while_the_store_is_away_a_standby_has_no_models(
    topic: Topic, tmp_path: Path
) -> None:
    store = ObjectStore(f"file://{tmp_path}")
    store._away_until_s = 1e12
    topic.champions._fetches._versions = Versions(topic.registry, store)
    topic.champions._versions = topic.champions._fetches._versions
    await topic.read(said("20250101T000000Z-00000000", "retrain"))
    assert topic.champions._fetches.is_running("A")
    assert not topic.champions.have_models(topic.symbols.values())
    assert not topic.champions._looks, "it is being brought: nobody looks again each second"
