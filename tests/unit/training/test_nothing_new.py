"""Retrains without a new bar: trained as always, and no version pushes out those before it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import orjson
import pytest

from stream_app.models.catalog import CATALOG
from stream_app.registry.champion_log import ChampionLog
from stream_app.registry.store import KEPT_VERSIONS
from stream_app.training.job import TrainedModel, TrainingJob
from tests.builders import TrainedArtifacts
from tests.unit.training.conftest import Bench, symbols

HOURS = KEPT_VERSIONS + 2


@dataclass
class Learned:
    """Trainings whose bytes change when the test says so."""

    artifacts: TrainedArtifacts
    changes: dict[str, int] = field(default_factory=dict)
    """By model, how often what is learned has changed."""

    def __call__(self, job: TrainingJob) -> TrainedModel:
        artifact = self.artifacts[job.model]
        if job.model == "kalman":
            noise = orjson.loads(artifact)
            noise["q_level"] *= 1 + self.changes.get("kalman", 0) / 1000
            artifact = orjson.dumps(noise)
        elif changed := self.changes.get(job.model):
            assert job.model == "lstm"
            artifact = _relabelled(artifact, changed)
        return TrainedModel(
            name=job.model,
            artifact=artifact,
            seconds=1.0,
            rows=100,
            data_to=int(job.bars.ts_last[-1]),
        )


def _relabelled(artifact: bytes, number: int) -> bytes:
    """The same model in other bytes."""
    model = onnx.load_from_string(artifact)
    model.doc_string = str(number)
    return bytes(model.SerializeToString())


@pytest.fixture
def learned(trained_artifacts: TrainedArtifacts) -> Learned:
    return Learned(trained_artifacts)


async def hour(made: Bench) -> str:
    """One more retrain; the version that it names."""
    made.clock.seconds += 3600
    made.retrainer.tick()
    await made.finish()
    ended = made.events[-1]
    assert ended.state == "succeeded"
    assert set(ended.model_seconds) == set(CATALOG)
    assert min(ended.model_seconds.values()) > 0
    assert ended.lstm_included
    return (ended.versions | ended.pinned)["A"]


def kept(folder: Path) -> set[str]:
    return {path.name for path in (folder / "models" / "A").iterdir()}


async def test_hours_without_a_bar_leave_the_versions_that_can_be_gone_back_to(
    bench: Callable[..., Bench],
    learned: Learned,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    made = bench(symbols("A"), answer=learned)
    first = await hour(made)
    learned.changes["kalman"] = 1
    second = await hour(made)
    serving = made.symbols["A"].models
    said = made.champions.log.standing("A")
    assert not [line for line in caplog.messages if "same models" in line]
    for _ in range(HOURS):
        assert await hour(made) == second
        assert made.events[-1].pinned == {}
    assert len(made.jobs) == len(CATALOG) * (HOURS + 2)
    assert made.symbols["A"].models is serving  # so the age of what it learned stays right
    assert made.champions.log.standing("A") is said
    assert made.champions.log.before("A") == first
    assert kept(tmp_path) == {first, second}
    assert caplog.messages.count(f"A: same models as {second}: no new bar since") == HOURS


async def test_a_new_bar_is_a_new_version_although_the_bytes_are_the_same(
    bench: Callable[..., Bench], learned: Learned, tmp_path: Path
) -> None:
    given = symbols("A")
    made = bench(given, answer=learned)
    first = await hour(made)
    before = given["A"].models.trained_to_ts
    longer = symbols("A", bars=251)["A"]
    longer.models = given["A"].models
    given["A"] = longer
    second = await hour(made)
    assert kept(tmp_path) == {first, second}
    assert given["A"].models.trained_to_ts > before


async def test_a_pinned_symbol_keeps_one_fresh_version_at_hand(
    bench: Callable[..., Bench], learned: Learned, tmp_path: Path
) -> None:
    made = bench(symbols("A"), answer=learned)
    first = await hour(made)
    made.champions.say("A", first, "pin", pinned=True)
    assert await hour(made) == first
    assert made.events[-1].versions == {"A": first}
    learned.changes["kalman"] = 1
    fresh = {await hour(made) for _ in range(HOURS)}
    assert len(fresh) == 1
    assert made.events[-1].pinned == dict.fromkeys("A", *fresh)
    assert made.events[-1].versions == {}
    assert kept(tmp_path) == {first, *fresh}


async def test_a_retrain_after_a_rollback_names_the_version_that_is_there(
    bench: Callable[..., Bench], learned: Learned, tmp_path: Path
) -> None:
    made = bench(symbols("A"), answer=learned)
    first = await hour(made)
    old = made.symbols["A"].models
    learned.changes["kalman"] = 1
    second = await hour(made)
    made.champions.say("A", first, "rollback")
    made.symbols["A"].models = old
    assert await hour(made) == second
    assert made.symbols["A"].models.version == second
    assert kept(tmp_path) == {first, second}


async def test_a_version_that_the_topic_does_not_name_is_named(
    bench: Callable[..., Bench], learned: Learned, tmp_path: Path
) -> None:
    made = bench(symbols("A"), answer=learned)
    first = await hour(made)
    made.champions.log = ChampionLog()  # as after an upgrade, or when the topic was lost
    assert await hour(made) == first
    standing = made.champions.log.standing("A")
    assert standing is not None
    assert (standing.version, standing.by) == (first, "retrain")
    assert kept(tmp_path) == {first}


async def test_a_damaged_version_is_replaced(
    bench: Callable[..., Bench], learned: Learned, tmp_path: Path
) -> None:
    made = bench(symbols("A"), answer=learned)
    first = await hour(made)
    (tmp_path / "models" / "A" / first / "lstm.onnx").write_bytes(b"damaged")
    second = await hour(made)
    assert second != first
    assert made.symbols["A"].models.version == second


async def test_a_warm_start_on_the_same_bars_is_nothing_new(
    bench: Callable[..., Bench], learned: Learned, tmp_path: Path
) -> None:
    """It goes on from the weights before, so its bytes change with each training."""
    made = bench(symbols("A"), answer=learned, lstm_warm_start=True)
    first = await hour(made)
    for number in range(1, 3):
        learned.changes["lstm"] = number
        assert await hour(made) == first
    assert kept(tmp_path) == {first}
    cold = bench(symbols("A"), answer=learned)
    assert await hour(cold) != first
