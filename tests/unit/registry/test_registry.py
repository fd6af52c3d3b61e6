from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.errors import ArtifactError
from stream_app.models.catalog import CATALOG
from stream_app.registry.manifest import TrainedSet, manifest_digest
from stream_app.registry.store import KEPT_VERSIONS, Registry
from stream_app.training.settings import model_settings
from tests.builders import settings

MODELS = model_settings(settings())
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def folder_of(root: Path, version: str) -> Path:
    return root / "models" / "BTC%2FUSD" / version


def test_what_is_published_is_the_champion_after_a_restart(
    tmp_path: Path, trained: TrainedSet
) -> None:
    published = Registry(tmp_path, MODELS).publish(trained, now=NOON)
    champion = Registry(tmp_path, MODELS).champion("BTC/USD")
    assert champion is not None
    assert champion.version == published.version
    assert champion.trained_to_ts == 2
    assert set(champion.members) == set(CATALOG)


def test_an_artifact_comes_back_as_it_was_trained_and_no_other(
    tmp_path: Path, trained: TrainedSet
) -> None:
    registry = Registry(tmp_path, MODELS)
    version = registry.publish(trained, now=NOON).version
    for name in CATALOG:
        assert registry.artifact("BTC/USD", version, name) == trained.artifacts[name]
    with pytest.raises(ArtifactError, match="trained with another seed"):
        Registry(tmp_path, replace(MODELS, seed=8)).artifact("BTC/USD", version, "lstm")
    with pytest.raises(ArtifactError, match="is not the name of a version"):
        registry.artifact("BTC/USD", "../x", "lstm")
    with (folder_of(tmp_path, version) / "lstm.onnx").open("r+b") as file:
        file.write(b"!")
    with pytest.raises(ArtifactError, match="altered"):
        registry.artifact("BTC/USD", version, "lstm")


def test_the_manifest_says_where_the_models_come_from(tmp_path: Path, trained: TrainedSet) -> None:
    version = Registry(tmp_path, MODELS).publish(trained, now=NOON).version
    manifest = orjson.loads((folder_of(tmp_path, version) / "manifest.json").read_bytes())
    assert manifest["data"] == {"from": 1, "to": 2, "rows": 100}
    assert manifest["settings"]["lstm_layers"] == [8, 4]
    assert manifest["libraries"]["lightgbm"]
    assert all(len(entry["sha256"]) == 64 for entry in manifest["files"].values())
    files = {path.name for path in folder_of(tmp_path, version).iterdir()}
    assert files == {
        "manifest.json",
        "kalman.json",
        "random_forest.onnx",
        "lightgbm.onnx",
        "lstm.onnx",
    }


def test_old_versions_are_removed_and_the_champion_stays(
    tmp_path: Path, trained: TrainedSet
) -> None:
    registry = Registry(tmp_path, MODELS)
    for hour in range(KEPT_VERSIONS + 3):
        version = registry.publish(trained, now=NOON + timedelta(hours=hour)).version
    kept = sorted(path.name for path in folder_of(tmp_path, "").iterdir() if path.is_dir())
    assert len(kept) == KEPT_VERSIONS
    assert kept[-1] == version


def test_versions_that_are_needed_stay(tmp_path: Path, trained: TrainedSet) -> None:
    registry = Registry(tmp_path, MODELS)
    pinned = registry.publish(trained, now=NOON).version
    for hour in range(1, KEPT_VERSIONS + 3):
        registry.publish(trained, now=NOON + timedelta(hours=hour), keep={pinned})
    kept = sorted(path.name for path in folder_of(tmp_path, "").iterdir() if path.is_dir())
    assert len(kept) == KEPT_VERSIONS + 1
    assert kept[0] == pinned


def test_a_symbol_never_published_has_no_champion(tmp_path: Path) -> None:
    assert Registry(tmp_path, MODELS).champion("BTC/USD") is None


def truncate(folder: Path) -> None:
    path = folder / "lstm.onnx"
    path.write_bytes(path.read_bytes()[:-1])


def alter(folder: Path) -> None:
    path = folder / "random_forest.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove(folder: Path) -> None:
    (folder / "lightgbm.onnx").unlink()


def edit(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "manifest.json"
    manifest = orjson.loads(path.read_bytes())
    manifest["files"]["lstm"] |= change
    write_manifest(path, manifest)


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """As somebody would who knows how it is made."""
    del manifest["sha256"]
    path.write_bytes(orjson.dumps(manifest | {"sha256": manifest_digest(manifest)}))


def outside(folder: Path) -> None:
    edit(folder, {"file": "../../../lstm.onnx"})


def no_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"{")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "lstm.onnx: altered"),
        (alter, "random_forest.onnx: altered"),
        (remove, "lightgbm.onnx: No such file"),
        (outside, "must be the file lstm.onnx"),
        (no_manifest, "not a manifest"),
    ],
)
def test_a_damaged_version_is_refused_and_the_one_before_serves(
    tmp_path: Path,
    trained: TrainedSet,
    caplog: pytest.LogCaptureFixture,
    damage: Any,
    words: str,
) -> None:
    registry = Registry(tmp_path, MODELS)
    first = registry.publish(trained, now=NOON).version
    second = registry.publish(trained, now=NOON + timedelta(hours=1)).version
    damage(folder_of(tmp_path, second))
    with pytest.raises(ArtifactError, match=re.escape(words)):
        registry.load("BTC/USD", second)
    champion = registry.champion("BTC/USD")
    assert champion is not None
    assert champion.version == first
    assert words in caplog.text


def test_models_of_other_settings_are_refused_by_name(tmp_path: Path, trained: TrainedSet) -> None:
    version = Registry(tmp_path, MODELS).publish(trained, now=NOON).version
    other = Registry(tmp_path, replace(MODELS, horizon_bars=3))
    with pytest.raises(ArtifactError, match="another horizon_bars"):
        other.load("BTC/USD", version)


def test_a_disk_that_refuses_leaves_the_champion_and_no_litter(
    tmp_path: Path, trained: TrainedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path, MODELS)
    first = registry.publish(trained, now=NOON).version

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stream_app.registry.disk.os.fsync", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        registry.publish(trained, now=NOON + timedelta(hours=1))
    champion = registry.champion("BTC/USD")
    assert champion is not None
    assert champion.version == first
    assert not list(folder_of(tmp_path, "").glob(".staging*"))


def test_of_equal_versions_the_one_that_serves_is_known_before_the_newest(
    tmp_path: Path, trained: TrainedSet
) -> None:
    """As earlier releases wrote them, one for each hour without a tick."""
    registry = Registry(tmp_path, MODELS)
    versions = [
        registry.publish(trained, now=NOON + timedelta(hours=hour)).version for hour in range(3)
    ]

    def known(serving: str, **changes: int) -> str | None:
        found = registry.known(replace(trained, **changes), serving=serving, models=CATALOG)  # type: ignore[arg-type]
        return None if found is None else found.version

    assert known(versions[0]) == versions[0]
    assert known("") == versions[2]
    folder_of(tmp_path, versions[2]).joinpath("lstm.onnx").unlink()
    assert known("") == versions[1]
    assert known("", data_to=3) is None
    assert registry.known(replace(trained, symbol="ETH"), serving="", models=CATALOG) is None
