from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from stream_app.kafka.topic_admin import TopicAdmin


class TwoBrokers:
    """One lists two topics; the other, which is asked for configs, has an error for the new one."""

    def __init__(self, error: type[Any]) -> None:
        self._error = error

    async def describe_topics(self) -> list[Any]:
        partition = {"leader": 1, "replicas": [1, 2, 3]}
        return [{"topic": name, "partitions": [partition]} for name in ("old", "new")]

    async def describe_configs(self, _asked: Sequence[ConfigResource]) -> list[Any]:
        entry: tuple[Any, ...] = ("retention.ms", "1000", False, 1, False, [])
        refused: tuple[Any, ...] = (self._error.errno, "", 2, "new", [])
        return [SimpleNamespace(resources=[(0, None, 2, "old", [entry]), refused])]


def admin_of(error: type[Any]) -> TopicAdmin:
    return TopicAdmin(cast(AIOKafkaAdminClient, TwoBrokers(error)))


async def test_a_topic_that_a_broker_has_not_heard_of_yet_is_not_there_yet() -> None:
    found = await admin_of(UnknownTopicOrPartitionError).describe(["old", "new"])
    assert list(found) == ["old"]
    assert found["old"].replication == 3
    assert found["old"].set_on_topic == {"retention.ms": "1000"}


async def test_any_other_error_is_raised() -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await admin_of(TopicAuthorizationFailedError).describe(["old", "new"])
