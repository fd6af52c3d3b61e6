"""Describes, creates and changes topics, with requests that Apache Kafka and Tansu support."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from stream_app.errors import BrokerError, TopicError
from stream_app.kafka.topics import TopicSpec

_SET_ON_TOPIC: Final = 1
"""Kafka's code for a config value that is set on the topic itself and is not a default."""


class RefusedError(Exception):
    """The broker refuses this change of a topic, or Kafka does not support it."""


@dataclass(slots=True)
class ActualTopic:
    """A topic as the broker describes it."""

    partitions: int
    replication: int
    configs: dict[str, str] = field(default_factory=dict)
    """Every config that the broker reports, including defaults."""
    set_on_topic: dict[str, str] = field(default_factory=dict)
    """The configs that are not defaults."""


@contextlib.asynccontextmanager
async def connected(client: Mapping[str, Any]) -> AsyncIterator[TopicAdmin]:
    """Start an admin client, and close it at the end.

    Args:
        client: from `connection.client_settings`.

    Raises:
        BrokerError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        yield TopicAdmin(admin)
    except (KafkaError, TimeoutError) as error:
        raise BrokerError(
            f"broker {client['bootstrap_servers']}: no answer about its topics ({error!r}); check "
            "that it runs and that KAFKA_BOOTSTRAP_SERVERS names it"
        ) from None
    finally:
        await admin.close()


class TopicAdmin:
    """Describes, creates and changes topics. Every method waits for the broker."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    async def describe(self, names: Iterable[str]) -> dict[str, ActualTopic]:
        """The topics that the broker lists with a leader for each partition, by name.

        On a cluster, the broker that is asked for configs may be another one, which has not heard
        of a new topic yet. Such a topic is not there yet.

        It requests all topics, because a request that names a missing topic creates it on a broker
        with automatic creation. It requests all configs, because the embedded broker closes the
        connection when a request names some.
        """
        wanted = set(names)
        found = {
            item["topic"]: ActualTopic(
                partitions=len(item["partitions"]),
                replication=min(len(partition["replicas"]) for partition in item["partitions"]),
            )
            for item in await self._admin.describe_topics()
            if item["topic"] in wanted
            and item["partitions"]
            and all(partition["leader"] >= 0 for partition in item["partitions"])
        }
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
        for response in await self._admin.describe_configs(asked):
            for code, message, _, name, entries in response.resources:
                if code == UnknownTopicOrPartitionError.errno:
                    del found[name]
                    continue
                if code:
                    raise for_code(code)(message)
                for key, value, _, source, *_ in entries:
                    found[name].configs[key] = value
                    if source == _SET_ON_TOPIC:
                        found[name].set_on_topic[key] = value
        return found

    async def create(self, spec: TopicSpec) -> None:
        """Create a topic. Does nothing if it exists, because another process was faster.

        Raises:
            TopicError: the broker refuses, with its reason.
        """
        topic = NewTopic(
            spec.name, spec.partitions, spec.replication, topic_configs=dict(spec.configs)
        )
        response = await self._admin.create_topics([topic])
        for name, code, message in response.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                reason = message or for_code(code).__name__
                raise TopicError(f"{name}: the broker does not create it: {reason}")

    async def raise_partitions(self, name: str, actual: ActualTopic, count: int) -> None:
        """Give a topic more partitions.

        Raises:
            RefusedError: it already has more.
            KafkaError: the broker refuses.
        """
        if actual.partitions > count:
            raise RefusedError("Kafka cannot lower it")
        await self._admin.create_partitions({name: NewPartitions(count)})

    async def set_config(self, name: str, actual: ActualTopic, key: str, value: str) -> None:
        """Set one config of a topic and keep the others.

        Raises:
            RefusedError: the broker refuses the value, with its reason.
            KafkaError: the broker does not support changes of configs.
        """
        # AlterConfigs replaces every config of the topic, including those that topics.yaml omits.
        configs = {**actual.set_on_topic, key: value}
        resource = ConfigResource(ConfigResourceType.TOPIC, name, configs)
        for response in await self._admin.alter_configs([resource]):
            for code, message, *_ in response.resources:
                if code:
                    raise RefusedError(message or for_code(code).__name__)
        actual.set_on_topic = configs
