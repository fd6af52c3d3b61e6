from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from stream_app.cli import main
from stream_app.errors import TopicError
from stream_app.kafka.strimzi import kafka_topics, resource_name
from stream_app.kafka.topics import load_topics

TOPICS_YAML = Path(__file__).parents[3] / "topics.yaml"
KAFKA_TOPIC: dict[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "kafka.strimzi.io/v1"},
        "kind": {"const": "KafkaTopic"},
        "metadata": {"type": "object", "required": ["name", "labels"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["partitions", "replicas", "config"],
            "properties": {
                "topicName": {"type": "string"},
                "partitions": {"type": "integer", "minimum": 1},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 32767},
                "config": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "number", "boolean"]},
                },
            },
        },
    },
}
"""The rules of Strimzi's own definition (the CRD kafkatopics.kafka.strimzi.io of Strimzi 1.3), and
that nothing unknown is in it: Kubernetes would drop that in silence."""


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    main(["topics", "export", "--strimzi", "--cluster", "main", *arguments])
    return list(yaml.safe_load_all(capsys.readouterr().out))


def test_the_command_prints_a_resource_for_each_topic(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPICS_FILE", str(TOPICS_YAML))
    resources = exported(capsys)
    topics = load_topics(TOPICS_YAML)
    assert len(resources) == len(topics.specs)
    for resource, spec in zip(resources, topics.specs, strict=True):
        Draft7Validator(KAFKA_TOPIC).validate(resource)
        assert resource["metadata"] == {"name": spec.name, "labels": {"strimzi.io/cluster": "main"}}
        wanted = resource["spec"]
        assert (wanted["partitions"], wanted["replicas"]) == (spec.partitions, spec.replication)
        assert {key: str(value) for key, value in wanted["config"].items()} == spec.configs
    assert resources[0]["spec"]["config"]["retention.ms"] == 2_764_800_000


@pytest.mark.parametrize("topic", ["Ticks", "a_b", "-a", "a.", "a" * 249, "A" * 249, "_", "a..b"])
def test_a_topic_that_kubernetes_cannot_name_keeps_its_own_name(topic: str, tmp_path: Path) -> None:
    content = yaml.safe_load(TOPICS_YAML.read_text())
    content["topics"] = {
        topic if name == "market.ticks.v1" else name: spec
        for name, spec in content["topics"].items()
    }
    content["services"] = {}
    path = tmp_path / "topics.yaml"
    path.write_text(yaml.safe_dump(content))
    resource = kafka_topics(load_topics(path), "main")[0]
    name = resource["metadata"]["name"]
    assert len(name) <= 253
    label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    assert re.fullmatch(rf"{label}(\.{label})*", name)
    assert resource["spec"].get("topicName", name) == topic


def test_two_topics_never_have_one_resource() -> None:
    names = ["a_b", "a-b", "A-b", "a_B", "a.b"]
    assert len({resource_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("cluster", ["", "Main", "a.b", "a" * 64, "-a", "a\n"])
def test_a_cluster_that_can_be_none_is_refused(cluster: str) -> None:
    with pytest.raises(TopicError, match="--cluster"):
        kafka_topics(load_topics(TOPICS_YAML), cluster)
