"""The id that a broker gives a topic when it makes it: a topic recreated has another one.

aiokafka asks for the topics in the fifth version of Kafka's request; the ids come with the tenth.
So the request is described here, with aiokafka's own types.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_METADATA: Final = 3
_WITH_IDS: Final = 10
_NO_ID: Final = bytes(16)


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


_TAGS: Final = ("tags", TaggedFields)


class _Answer(Response):  # type: ignore[misc]
    API_KEY = _METADATA
    API_VERSION = _WITH_IDS
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                _TAGS,
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                _TAGS,
            ),
        ),
        ("cluster_authorized_operations", Int32),
        _TAGS,
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = _METADATA
    API_VERSION = _WITH_IDS
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class _Metadata(Request[_Question]):  # type: ignore[misc]
    API_KEY: ClassVar[int] = _METADATA

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class([(_NO_ID, self._topic, {})], False, False, False, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTopic:
    """A topic as the broker knows it."""

    topic_id: str
    """As Kafka's own tools show it; empty where the broker is older than topic ids (Kafka 2.8)."""
    partitions: int


async def known_topic(admin: AIOKafkaAdminClient, topic: str) -> KnownTopic:
    """Ask a broker for a topic's id and its partitions. Waits on the broker; creates nothing.

    Raises:
        UnknownTopicOrPartitionError: there is no such topic.
        KafkaError: the broker does not answer.
    """
    try:
        answer = await admin._send_request(_Metadata(topic))  # noqa: SLF001 - the only way to ask
    except NotImplementedError:  # the broker knows no version with ids
        found = [item for item in await admin.describe_topics() if item["topic"] == topic]
        if not found:
            raise UnknownTopicOrPartitionError(topic) from None
        return KnownTopic(topic_id="", partitions=len(found[0]["partitions"]))
    (item,) = answer.to_object()["topics"]
    if item["error_code"]:
        raise for_code(item["error_code"])(topic)
    raw: bytes = item["topic_id"]
    shown = "" if raw == _NO_ID else base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return KnownTopic(topic_id=shown, partitions=len(item["partitions"]))
