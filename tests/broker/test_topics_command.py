from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stream_app.cli import main
from stream_app.kafka.topic_check import Topics, load_topics
from stream_app.settings import Settings
from tests.conftest import SettingsFor


@pytest.fixture
def settings(settings_for: SettingsFor) -> Settings:
    return settings_for()


@pytest.fixture
def topics(settings: Settings) -> Topics:
    return load_topics(settings.topics_file)


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers)
    monkeypatch.setenv("TOPICS_FILE", str(settings.topics_file))


def test_the_command_checks_applies_and_checks(
    environment: None, topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["topics", "check"])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(topics.specs)
    assert said[-1].startswith(f"stream-app: {topics.drift.name}: topics.yaml says 1 ")
    main(["topics", "apply"])
    created = capsys.readouterr().out.splitlines()
    assert created[0] == f"{topics.ticks.name}: created, 4 partitions"
    assert len(created) == len(topics.specs)
    main(["topics", "apply"])
    assert capsys.readouterr().out == "nothing to change\n"
    main(["topics", "check"])
    assert capsys.readouterr().out == "all topics match the file\n"


def test_the_command_tells_what_it_could_not_do(
    environment: None, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["topics", "apply"])
    path: Path = settings.topics_file
    content = yaml.safe_load(path.read_text())
    last = list(content["topics"])[-1]
    content["topics"][last]["replication"] = 3
    path.write_text(yaml.safe_dump(content))
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["topics", "apply"])
    assert ended.value.code == 2
    assert f"{last}: topics.yaml says replication 3, the broker keeps 1" in capsys.readouterr().err
