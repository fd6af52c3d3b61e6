"""A version that is to serve is brought from the store, and waited for as long as it may come."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest

from stream_app.registry.manifest import TrainedSet
from stream_app.registry.object_store import ObjectStore
from stream_app.registry.store import Registry
from stream_app.registry.versions import Versions
from stream_app.training.settings import model_settings
from stream_app.worker.fetches import GONE_AFTER_S, Fetches
from tests.builders import TrainedArtifacts, settings

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MODELS = model_settings(settings())


class Machine:
    """A disk with nothing on it, and a store that may have a version of A."""

    def __init__(self, folder: Path, artifacts: TrainedArtifacts) -> None:
        (folder / "store").mkdir()
        self.time_s = 0.0
        self.store = ObjectStore(f"file://{folder}/store", monotonic=lambda: self.time_s)
        elsewhere, self.disk = Registry(folder / "other", MODELS), Registry(folder / "own", MODELS)
        self.version = elsewhere.publish(
            TrainedSet(symbol="A", artifacts=artifacts, seconds={}, rows=1, data_from=0, data_to=1),
            now=NOON,
        ).version
        self.files = elsewhere.files("A", self.version)
        self.named: str | None = self.version
        self.slept = 0
        self.served: list[str] = []
        self.fetches = Fetches(
            Versions(self.disk, self.store),
            wanted=lambda _: self.named,
            let_serve=self._let_serve,
            monotonic=lambda: self.time_s,
            sleep=self._sleep,
        )

    async def _sleep(self, _seconds: float) -> None:
        self.slept += 1
        await asyncio.sleep(0)

    async def _let_serve(self, name: str) -> None:
        self.served.append(name)

    def may_come(self) -> bool:
        return self.fetches.may_bring("A", self.version)

    async def until_tried_again(self) -> None:
        tried = self.slept
        async with asyncio.timeout(60):
            while self.slept < tried + 2:
                await asyncio.sleep(0)

    async def until_ended(self) -> None:
        async with asyncio.timeout(60):
            while self.fetches.is_running("A"):
                await asyncio.sleep(0)


@pytest.fixture
def machine(tmp_path: Path, trained_artifacts: TrainedArtifacts) -> Machine:
    return Machine(tmp_path, trained_artifacts)


async def test_a_version_that_the_store_lacks_may_come_for_a_while_and_comes_later_all_the_same(
    machine: Machine,
) -> None:
    machine.fetches.start("A")
    await machine.until_tried_again()
    machine.time_s = GONE_AFTER_S
    assert machine.may_come(), "who wrote it may have a store that is away"
    machine.time_s += 1.0
    assert not machine.may_come()
    assert machine.fetches.may_bring("A", "20260101T130000Z-00000000"), "another one"
    await machine.store.put("A", machine.version, machine.files)
    await machine.until_ended()
    assert machine.served == ["A"]
    assert machine.disk.has("A", machine.version)
    assert machine.may_come()


async def test_while_the_store_is_away_a_version_is_waited_for(machine: Machine) -> None:
    machine.store._note_away()
    machine.store._away_until_s = 1e9
    machine.fetches.start("A")
    await machine.until_tried_again()
    machine.time_s = 100 * GONE_AFTER_S
    await machine.until_tried_again()
    assert machine.may_come()
    machine.named = None  # it has left this worker
    await machine.until_ended()
    assert machine.served == []


async def test_a_damaged_version_is_not_waited_for(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    await machine.store.put("A", machine.version, machine.files)
    path = f"{machine.store.place('A', machine.version)}/lstm.onnx"
    await obstore.put_async(machine.store.client, path, b"x")
    machine.fetches.start("A")
    assert machine.may_come()
    await machine.until_ended()
    assert not machine.may_come()
    assert machine.served == []
    assert "A: the version to serve is unavailable: " in caplog.text
