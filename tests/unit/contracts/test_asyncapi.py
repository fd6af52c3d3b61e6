"""The AsyncAPI document: valid by AsyncAPI's own schema, and of the topics and settings given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from stream_app.contracts.asyncapi import LETTER_HEADERS, document
from stream_app.dead_letters.letter import CUT, KEPT_BYTES, REPLAYED_FROM, letter_of
from stream_app.kafka.topics import ROLES, Topics, load_topics
from stream_app.messages.records import DeadLetter
from stream_app.messages.schemas import Rejection
from stream_app.settings import Settings, load_settings
from tests.builders import FakeRecord

ROOT = Path(__file__).parents[3]
TOPICS_YAML = ROOT / "topics.yaml"
THEIR_SCHEMA = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())
SECURE: dict[str, Any] = {
    "kafka_bootstrap_servers": "kafka1:9093, kafka2:9093",
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_username": "me",
    "kafka_sasl_password": "hunter2",
    "schema_registry_url": "https://registry:8081",
    "schema_registry_username": "me",
    "schema_registry_password": "hunter2",
    "consumer_group": "mine",
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def topics() -> Topics:
    return load_topics(TOPICS_YAML)


def problems(described: dict[str, Any]) -> list[str]:
    as_read = yaml.safe_load(yaml.safe_dump(described))
    return [
        f"{list(error.absolute_path)}: {error.message[:200]}"
        for error in Draft7Validator(THEIR_SCHEMA).iter_errors(as_read)
    ]


def target(described: dict[str, Any], reference: dict[str, str]) -> Any:
    found: Any = described
    for part in reference["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


@pytest.mark.parametrize(
    "given",
    [
        {},
        SECURE,
        {"kafka_security_protocol": "SSL"},
        SECURE | {"kafka_sasl_mechanism": "PLAIN"},
        SECURE | {"kafka_sasl_mechanism": "SCRAM-SHA-256"},
        {"tick_fields": {"price": "p"}},
    ],
    ids=str,
)
def test_it_is_valid_by_asyncapis_own_schema(topics: Topics, given: dict[str, Any]) -> None:
    described = document(topics, load_settings(**given))
    assert problems(described) == []
    assert "hunter2" not in str(described)
    described["channels"]["ticks"]["nonsense"] = 1
    assert problems(described) != []


def test_every_reference_leads_to_its_part(topics: Topics) -> None:
    described = document(topics, load_settings(**SECURE))
    for role, channel in described["channels"].items():
        assert target(described, channel["messages"][role])["payload"] is not None
    for operation in described["operations"].values():
        channel = target(described, operation["channel"])
        (message,) = operation["messages"]
        assert target(described, message) in channel["messages"].values()
    for server in described["servers"].values():
        assert target(described, server["security"][0]) == {"type": "scramSha512"}


def test_it_has_what_topics_yaml_has(topics: Topics) -> None:
    described = document(topics, load_settings())
    assert tuple(described["channels"]) == ROLES
    for spec in topics.specs:
        channel = described["channels"][spec.role]
        binding = channel["bindings"]["kafka"]
        assert channel["address"] == binding["topic"] == spec.name
        assert (binding["partitions"], binding["replicas"]) == (spec.partitions, spec.replication)
        assert binding["topicConfiguration"].keys() == spec.configs.keys()
    told = {
        (
            operation["tags"][0]["name"],
            operation["action"],
            target(described, operation["channel"])["address"],
        )
        for operation in described["operations"].values()
    }
    assert told == {
        (service, action, name)
        for service, uses in topics.services.items()
        for action, names in (("receive", uses.consumes), ("send", uses.produces))
        for name in names
    }


def test_it_follows_the_settings(topics: Topics) -> None:
    plain, secure = document(topics, load_settings()), document(topics, load_settings(**SECURE))
    assert [server["host"] for server in secure["servers"].values()] == [
        "kafka1:9093",
        "kafka2:9093",
    ]
    assert {server["protocol"] for server in secure["servers"].values()} == {"kafka-secure"}
    binding = secure["servers"]["kafka1"]["bindings"]["kafka"]
    assert binding["schemaRegistryUrl"] == "https://registry:8081"
    message = secure["components"]["messages"]["predictions"]
    assert message["bindings"]["kafka"]["schemaIdLocation"] == "header"
    assert list(message["headers"]["properties"]) == ["__value_schema_id"]
    group = secure["operations"]["worker_receives_ticks"]["bindings"]["kafka"]["groupId"]
    assert group == {"type": "string", "const": "mine"}
    assert "headers" not in plain["components"]["messages"]["predictions"]
    mapped = document(topics, load_settings(tick_time_unit="s"))
    assert "properties" not in mapped["components"]["messages"]["ticks"]["payload"]
    assert mapped["components"]["messages"]["bars"] == plain["components"]["messages"]["bars"]


def test_the_headers_of_a_dead_letter_are_those_that_it_has(topics: Topics) -> None:
    headers = document(topics, load_settings())["components"]["messages"]["dead_letters"]["headers"]
    record = FakeRecord(offset=1, value=b"x" * (KEPT_BYTES + 1), key=b"A")
    record.headers = [(REPLAYED_FROM, b"t-0-1")]
    letter = letter_of(DeadLetter(record=record, rejection=Rejection(reason="a", detail="b")))
    written = [name for name, _ in letter.headers]
    assert sorted(written) == sorted(LETTER_HEADERS) == sorted(headers["properties"])
    assert set(written) - set(headers["required"]) == {CUT, REPLAYED_FROM}
