"""The topics, their messages and who sends and receives them, as an AsyncAPI 3 document. Pure.

Everything follows from topics.yaml, the schemas and the settings: a new topic is in the document
without a line here.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, Final

from stream_app.contracts.forms import Schema, open_form
from stream_app.contracts.published import message_schemas, schema_name
from stream_app.contracts.schema_registry import ID_HEADER
from stream_app.kafka.strimzi import config_value
from stream_app.kafka.topics import Topics, TopicSpec
from stream_app.settings import Settings

ASYNCAPI: Final = "3.0.0"
_BINDING: Final = "0.5.0"
"""Version of AsyncAPI's bindings for Kafka."""
_SECURITY: Final = {
    "PLAIN": {"type": "plain"},
    "SCRAM-SHA-256": {"type": "scramSha256"},
    "SCRAM-SHA-512": {"type": "scramSha512"},
}
LETTER_HEADERS: Final = {
    "reason": "A code; docs/operations.md lists them.",
    "detail": "For humans: which field, which value.",
    "topic": "Topic of the refused record.",
    "partition": "Partition of the refused record.",
    "offset": "Offset of the refused record.",
    "timestamp": "Kafka timestamp of the refused record, epoch milliseconds.",
    "cut": "Only if the record was cut: its original size.",
    "replayed_from": "Only if the record was a replayed one: the dead letter that it came from.",
}
_ALWAYS: Final = ("reason", "detail", "topic", "partition", "offset", "timestamp")


def document(topics: Topics, settings: Settings) -> dict[str, Any]:
    """The whole document, as YAML writes it."""
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "stream-app",
            "version": version("stream-app"),
            "description": "Price ticks in, predictions by an ensemble of four models out. Feeds "
            "write ticks; consumers read predictions, bars and scores. Delivery is at least once.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "servers": dict(_servers(settings)),
        "channels": {spec.role: _channel(spec) for spec in topics.specs},
        "operations": dict(_operations(topics, settings)),
        "components": {
            "messages": {spec.role: _message(spec, settings) for spec in topics.specs},
            **_security_schemes(settings),
        },
    }


def _servers(settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    protocol = settings.kafka_security_protocol
    for number, host in enumerate(settings.kafka_bootstrap_servers.split(","), start=1):
        server: dict[str, Any] = {
            "host": host.strip(),
            "protocol": "kafka-secure" if protocol.endswith("SSL") else "kafka",
            "description": f"Connect with security.protocol {protocol}.",
        }
        if protocol.startswith("SASL"):
            server["security"] = [{"$ref": "#/components/securitySchemes/sasl"}]
        if settings.schema_registry_url is not None:
            server["bindings"] = _kafka(
                schemaRegistryUrl=settings.schema_registry_url, schemaRegistryVendor="confluent"
            )
        yield f"kafka{number}", server


def _security_schemes(settings: Settings) -> dict[str, Any]:
    if not settings.kafka_security_protocol.startswith("SASL"):
        return {}
    return {"securitySchemes": {"sasl": dict(_SECURITY[settings.kafka_sasl_mechanism])}}


def _channel(spec: TopicSpec) -> dict[str, Any]:
    configs: dict[str, Any] = {key: config_value(value) for key, value in spec.configs.items()}
    if "cleanup.policy" in spec.configs:
        configs["cleanup.policy"] = [
            part.strip() for part in spec.configs["cleanup.policy"].split(",")
        ]
    return {
        "address": spec.name,
        "messages": {spec.role: {"$ref": f"#/components/messages/{spec.role}"}},
        "bindings": _kafka(
            topic=spec.name,
            partitions=spec.partitions,
            replicas=spec.replication,
            topicConfiguration=configs,
        ),
    }


def _operations(topics: Topics, settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each service of topics.yaml does with each topic."""
    roles = {spec.name: spec.role for spec in topics.specs}
    for service, uses in topics.services.items():
        for action, names in (("receive", uses.consumes), ("send", uses.produces)):
            for name in names:
                role = roles[name]
                operation: dict[str, Any] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{role}"},
                    "summary": f"stream-app {service} {action}s {role.replace('_', ' ')}.",
                    "tags": [{"name": service}],
                    "messages": [{"$ref": f"#/channels/{role}/messages/{role}"}],
                }
                if (service, action, role) == ("worker", "receive", "ticks"):
                    group = _text(const=settings.consumer_group)
                    operation["bindings"] = _kafka(groupId=group)
                yield f"{service}_{action}s_{role}", operation


def _message(spec: TopicSpec, settings: Settings) -> dict[str, Any]:
    name = schema_name(spec.role)
    if name is None:
        return _letter(spec)
    schema = open_form(message_schemas()[name])
    examples = schema.pop("examples", [])
    schema.pop("$schema", None)
    message: dict[str, Any] = {
        "name": name,
        "title": schema["title"],
        "contentType": "application/json",
        "payload": schema,
        "examples": [{"payload": example} for example in examples],
    }
    if spec.role == "ticks" and not settings.tick_mapping.is_strict:
        message["payload"] = {"description": "A tick in a feed's own form, read by TICK_ settings."}
        del message["examples"]
        return message | {"bindings": _kafka(key=_text())}
    if settings.schema_registry_url is None:
        return message | {"bindings": _kafka(key=_text())}
    return message | {
        "headers": {
            "type": "object",
            "properties": {
                ID_HEADER: _text(description="A zero byte, and the schema's id in four bytes.")
            },
        },
        "bindings": _kafka(
            key=_text(), schemaIdLocation="header", schemaLookupStrategy="TopicNameStrategy"
        ),
    }


def _letter(spec: TopicSpec) -> dict[str, Any]:
    headers: Schema = {
        "type": "object",
        "required": list(_ALWAYS),
        "properties": {name: _text(description=told) for name, told in LETTER_HEADERS.items()},
    }
    return {
        "name": spec.role.replace("_", "-"),
        "title": "DeadLetter",
        "summary": "A record that is no valid tick: its key and value, byte for byte unless it has "
        "the header `cut`. The headers say what is wrong with it.",
        "contentType": "application/octet-stream",
        "headers": headers,
        "payload": {"description": "The refused record's value: any bytes, or none."},
        "bindings": _kafka(key={"description": "The refused record's key: any bytes, or none."}),
    }


def _text(**fields: str) -> Schema:
    """A new object each time: YAML would write one that comes twice as a reference."""
    return {"type": "string", **fields}


def _kafka(**fields: Any) -> dict[str, Any]:
    return {"kafka": {**fields, "bindingVersion": _BINDING}}
