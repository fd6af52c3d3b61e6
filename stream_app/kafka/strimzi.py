"""The topics as KafkaTopic resources, which Strimzi's topic operator keeps on Kubernetes. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from stream_app.errors import TopicError
from stream_app.kafka.topics import Topics, TopicSpec

API_VERSION: Final = "kafka.strimzi.io/v1"
"""Served since Strimzi 0.49, and the only one since 1.0."""
CLUSTER_LABEL: Final = "strimzi.io/cluster"
_RESOURCE_NAME: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_MOST_CHARACTERS: Final = 253
_HASH_CHARACTERS: Final = 10


def kafka_topics(topics: Topics, cluster: str) -> list[dict[str, Any]]:
    """A resource for each topic.

    Args:
        topics: from topics.yaml.
        cluster: the name of the Kafka resource that the topics belong to.

    Raises:
        TopicError: no Kafka resource can have that name.
    """
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", cluster):
        raise TopicError(
            f"--cluster {cluster[:80]!r}: allowed is a Kafka resource's name, 1 to 63 of a-z 0-9 -"
        )
    return [_resource(spec, cluster) for spec in topics.specs]


def as_yaml(resources: Sequence[dict[str, Any]]) -> str:
    """The resources as YAML, each a document of its own."""
    return yaml.safe_dump_all(resources, sort_keys=False, explicit_start=True)


def _resource(spec: TopicSpec, cluster: str) -> dict[str, Any]:
    name = resource_name(spec.name)
    return {
        "apiVersion": API_VERSION,
        "kind": "KafkaTopic",
        "metadata": {"name": name, "labels": {CLUSTER_LABEL: cluster}},
        "spec": {
            **({} if name == spec.name else {"topicName": spec.name}),
            "partitions": spec.partitions,
            "replicas": spec.replication,
            "config": {key: config_value(value) for key, value in spec.configs.items()},
        },
    }


def resource_name(topic: str) -> str:
    """A topic's name, or one for what Kubernetes does not allow: in small letters, with a hash.

    >>> resource_name("market.ticks.v1"), resource_name("Market_Ticks")
    ('market.ticks.v1', 'market-ticks-017bbbc4ac')
    """
    if len(topic) <= _MOST_CHARACTERS and re.fullmatch(_RESOURCE_NAME, topic):
        return topic
    digest = hashlib.sha256(topic.encode()).hexdigest()[:_HASH_CHARACTERS]
    plain = re.sub("[^a-z0-9]+", "-", topic.lower()).strip("-")
    return f"{plain[: _MOST_CHARACTERS - _HASH_CHARACTERS - 1]}-{digest}".strip("-")


def config_value(text: str) -> str | int | bool:
    """A config as YAML has it: a number, true, false or text.

    >>> config_value("604800000"), config_value("true"), config_value("delete")
    (604800000, True, 'delete')
    """
    if re.fullmatch("-?[0-9]{1,18}", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text)
