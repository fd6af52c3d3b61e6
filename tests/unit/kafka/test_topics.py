from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.clock import DAY_MS
from stream_app.errors import TopicError
from stream_app.kafka.topic_check import load_topics

TOPICS_YAML = Path(__file__).parents[3] / "topics.yaml"
TICKS = "market.ticks.v1"
BARS = "market.bars.v1"

Content = dict[str, Any]


@pytest.fixture
def content() -> Content:
    loaded: Content = yaml.safe_load(TOPICS_YAML.read_text())
    return loaded


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "topics.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_each_topic_is_found_by_its_role() -> None:
    topics = load_topics(TOPICS_YAML)
    assert [spec.name for spec in topics.specs] == [
        "market.ticks.v1",
        "market.bars.v1",
        "market.predictions.v1",
        "market.ticks.v1.dlq",
        "market.scores.v1",
        "ops.retrain-events.v1",
        "ops.champions.v1",
        "ops.drift.v1",
    ]
    assert topics.ticks.name == TICKS
    assert topics.dead_letters.partitions == topics.ticks.partitions == 4
    for spec in (topics.retrain_events, topics.champions, topics.drift):
        assert spec.partitions == 1
    assert topics.services["feed"].produces == (TICKS,)
    assert BARS in topics.services["worker"].consumes


def test_retention_holds_the_training_window_and_replays() -> None:
    topics = load_topics(TOPICS_YAML)
    for spec in (topics.ticks, topics.bars):
        assert int(spec.configs["retention.ms"]) >= 32 * DAY_MS
    for spec in topics.specs:
        assert spec.configs["message.timestamp.type"] == "LogAppendTime"
        kept = "compact" if spec is topics.champions else "delete"
        assert spec.configs["cleanup.policy"] == kept
    assert int(topics.champions.configs["min.compaction.lag.ms"]) == 90 * DAY_MS


def test_config_values_become_what_kafka_reports(tmp_path: Path, content: Content) -> None:
    content["topics"][TICKS]["configs"] = {"a": True, "b": 7, "c": 0.5, "d": "delete"}
    configs = load_topics(write(tmp_path, content)).ticks.configs
    assert configs == {"a": "true", "b": "7", "c": "0.5", "d": "delete"}


def test_configs_and_the_directions_of_a_service_may_be_absent(
    tmp_path: Path, content: Content
) -> None:
    del content["topics"][TICKS]["configs"]
    content["services"] = {"idle": {}}
    topics = load_topics(write(tmp_path, content))
    assert topics.ticks.configs == {}
    assert topics.services["idle"].consumes == ()


def _set(*place: str, value: object) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for key in place[:-1]:
            content = content[key]
        content[place[-1]] = value

    return change


def _rename(content: Content) -> None:
    content["topics"]["market ticks"] = content["topics"].pop(TICKS)


def _drop_bars(content: Content) -> None:
    del content["topics"][BARS]


def _drop_role(content: Content) -> None:
    del content["topics"][TICKS]["role"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set("topics", TICKS, "partitions", value=0), [TICKS, "partitions=0", "equal to 1"]),
        (_set("topics", TICKS, "partitions", value="4"), ["partitions='4'", "valid integer"]),
        (_set("topics", TICKS, "partitions", value=True), ["partitions=True", "valid integer"]),
        (_set("topics", TICKS, "replication", value=0), ["replication=0", "equal to 1"]),
        (_set("topics", TICKS, "partitons", value=4), ["partitons: unknown key", "partitions"]),
        (_set("topics", TICKS, "name", value="other"), [f"{TICKS} > name: unknown key", "role, p"]),
        (_set("topics", TICKS, value=4), [f"topics > {TICKS}=4", "dictionary"]),
        (_set("services", "feed", value=["a"]), ["services > feed=['a']", "dictionary"]),
        (_set("services", "feed", "produces", value="a"), ["produces='a'", "valid tuple"]),
        (_set("topics", TICKS, "role", value="tick"), ["role='tick'", "'ticks'"]),
        (_set("topics", TICKS, "configs", "x", value=None), ["x=None", "text, a number"]),
        (_set("topics", BARS, "role", value="ticks"), [BARS, "role=ticks", TICKS]),
        (_set("topics", BARS, "partitions", value=8), [BARS, "partitions=8", "allowed is 4"]),
        (_set("topics", value=[]), ["topics=[]"]),
        (_set("service", value={}), ["service: unknown key", "topics, services"]),
        (_set("services", "feed", "writes", value=[]), ["writes: unknown key", "produces"]),
        (_set("services", "feed", "produces", value=["nope"]), ["feed", "nope", TICKS]),
        (_rename, ["'market ticks'", "A-Z a-z 0-9 . _ -"]),
        (_drop_bars, ["role=bars"]),
        (_drop_role, [f"topics > {TICKS} > role: missing"]),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    tmp_path: Path, content: Content, change: Callable[[Content], None], told: list[str]
) -> None:
    change(content)
    path = write(tmp_path, content)
    with pytest.raises(TopicError) as refusal:
        load_topics(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith(f"topics file {path}: ")
    for part in told:
        assert part in message


@pytest.mark.parametrize("text", ["", "topics: [", "- 1\n", "a: *x\n", "\x00"])
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "topics.yaml"
    path.write_text(text)
    with pytest.raises(TopicError) as refusal:
        load_topics(path)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TopicError, match=r"mine\.yaml: No such file.*TOPICS_FILE"):
        load_topics(Path("mine.yaml"))


def test_from_any_folder_the_checkouts_own_file_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_topics(Path("topics.yaml")).ticks.name == "market.ticks.v1"
    (tmp_path / "topics.yaml").write_text("topics: 3")
    with pytest.raises(TopicError):
        load_topics(Path("topics.yaml"))
