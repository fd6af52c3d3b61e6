"""`stream-app contracts` as it is typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.cli import main
from stream_app.contracts.published import last_release, message_schemas
from stream_app.settings import Settings

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "stream_app/contracts/schemas"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The schemas as someone keeps them, in the form for readers."""
    kept = tmp_path / "kept"
    shutil.copytree(ROOT / "docs/contracts", kept)
    return kept


def change(folder: Path, name: str, how: Callable[[Any], object]) -> None:
    path = folder / f"{name}.schema.json"
    schema = json.loads(path.read_text())
    how(schema)
    path.write_text(json.dumps(schema))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        main(["contracts", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_this_version_keeps_what_the_last_release_promised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where this fails, the lines say which field a change has broken."""
    main(["contracts", "check"])
    said = capsys.readouterr().out.splitlines()
    version, old = last_release()
    assert said[-1] == f"nothing breaks what release {version} promised"
    assert len(said) == len(message_schemas()) + 1
    assert [line for line in said if "new since" in line] == [
        f"{name}: new since release {version}" for name in message_schemas() if name not in old
    ]


def test_a_copy_may_have_some_of_the_schemas(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in copy.iterdir():
        if path.name != "prediction.schema.json":
            path.unlink()
    main(["contracts", "check", "--against", str(copy)])
    assert capsys.readouterr().out.splitlines() == [
        "prediction: old and new readers take old and new messages",
        f"nothing breaks what {copy} promised",
    ]


def test_what_is_broken_is_told_field_by_field(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copy, "prediction", lambda schema: schema["properties"].update(score={"type": "number"}))
    change(copy, "tick", lambda schema: schema["properties"]["price"].update(type="string"))
    shutil.copy(copy / "tick.schema.json", copy / "trade.schema.json")
    assert refused(capsys, "check", "--against", str(copy)) == [
        "trade: the whole schema is left out",
        "prediction.score: is left out; only a new version of the topic may do so",
        "tick.price: an old reader may refuse a new message: integer, number is written, and "
        "not read",
        "stream-app: tick.price: a new reader may refuse an old message: string is written, and "
        f"not read (4 in all, against {copy})",
    ]


def test_a_folder_that_is_none_or_cannot_be_compared_is_refused(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "give a folder of" in refused(capsys, "check", "--against", "absent")[-1]
    change(copy, "bar", lambda schema: schema.update(oneOf=[]))
    assert (
        "bar: keyword 'oneOf' cannot be compared"
        in refused(capsys, "check", "--against", str(copy))[-1]
    )


def test_export_writes_what_docs_has_and_follows_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["contracts", "export", "plain"])
    written = {Path(line) for line in capsys.readouterr().out.splitlines()}
    assert written == {path for path in Path("plain").rglob("*") if path.is_file()}
    for path in written:
        assert path.read_text() == (ROOT / "docs" / path.relative_to("plain")).read_text()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka1:9092")
    main(["contracts", "export", "mine"])
    described = yaml.safe_load(Path("mine/asyncapi.yaml").read_text())
    assert described["servers"]["kafka1"]["host"] == "kafka1:9092"
    capsys.readouterr()
    Path("file").write_text("")
    assert "give another folder" in refused(capsys, "export", "file/below")[-1]


def test_register_names_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(capsys, "register")[-1].startswith("stream-app: SCHEMA_REGISTRY_URL is not set")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    said = refused(capsys, "register", "market.bars.v1", "market.ticks.v1.dlq")
    assert said[-1].startswith(
        "stream-app: TOPIC 'market.ticks.v1.dlq': no schema of its messages; allowed are market."
    )
