"""Rights in Kafka: those of deploy/kubernetes, given to users; and what a broker was asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import yaml
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

_Acl = TypeVar("_Acl", AclBinding, AclBindingFilter)
USERS: Final = Path(__file__).parents[2] / "deploy/kubernetes/strimzi/users.yaml"
_OPERATIONS: Final = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}
_KINDS: Final = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
_ASKED: Final = re.compile(
    r"Principal = User:(\S+) is (Allowed|Denied) operation = (\w+) from host = \S+ "
    r"on resource = (\w+):LITERAL:(\S+) for request"
)


@dataclass(frozen=True, order=True)
class Right:
    """One operation on one topic or group."""

    user: str
    kind: str
    name: str
    operation: str

    def __str__(self) -> str:
        return f"{self.operation} {self.name}"


def rights() -> list[Right]:
    """All that deploy/kubernetes gives."""
    return [
        Right(user["metadata"]["name"], acl["resource"]["type"], acl["resource"]["name"], operation)
        for user in yaml.safe_load_all(USERS.read_text())
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    ]


class Rights:
    """Gives and takes rights, on a broker that lets whoever comes by this address do everything."""

    def __init__(self, servers: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": servers})

    def give(self, given: Iterable[Right]) -> None:
        """Returns when they are in force, for one broker is the whole cluster."""
        bindings = [_of(AclBinding, each) for each in given]
        for done in self._admin.create_acls(bindings).values():
            done.result(timeout=60)

    def take(self, right: Right) -> None:
        """Returns when it is gone."""
        taken = self._admin.delete_acls([_of(AclBindingFilter, right)])
        assert [len(done.result(timeout=60)) for done in taken.values()] == [1], right


def _of(kind: type[_Acl], right: Right) -> _Acl:
    return kind(
        _KINDS[right.kind],
        right.name,
        ResourcePatternType.LITERAL,
        f"User:{right.user}",
        "*",
        _OPERATIONS[right.operation],
        AclPermissionType.ALLOW,
    )


def asked(audit: Path) -> dict[str, Counter[Right]]:
    """By verdict, Allowed or Denied, what the broker was asked for, and how often."""
    names = {operation.name: name for name, operation in _OPERATIONS.items()}
    found: dict[str, Counter[Right]] = {"Allowed": Counter(), "Denied": Counter()}
    for user, verdict, operation, kind, name in _ASKED.findall(audit.read_text()):
        right = Right(user, kind.lower(), name, names.get(operation, operation))
        found[verdict][right] += 1
    return found
