"""What the workers of a group tell each other when it changes: a report each, and a share each.

Both travel in Kafka's group protocol, as the data of a member and of its assignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

NOTHING: Final[frozenset[int]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker says of itself when it joins the group."""

    assigned: frozenset[int] = NOTHING
    """The partitions that it had until now."""
    ready: frozenset[int] = NOTHING
    """Those that it can answer at once: its own whose state it has, and warm ones of others."""
    following: frozenset[int] = NOTHING
    """Those of others that it follows, warm or not yet."""

    def encode(self) -> bytes:
        """As JSON; sets as sorted lists."""
        return orjson.dumps(self, default=sorted)

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Of a member of the group; one that says nothing has nothing.

        Raises:
            ValueError: it is no report.
        """
        said = _decoded(encoded)
        return cls(
            assigned=_numbers(said, "assigned"),
            ready=_numbers(said, "ready"),
            following=_numbers(said, "following"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a worker is given."""

    partitions: frozenset[int] = NOTHING
    """To answer."""
    standby: frozenset[int] = NOTHING
    """To follow, so as to be able to take them over."""
    coming: frozenset[int] = NOTHING
    """Those of `standby` that it is given as soon as it says that they are warm."""
    going: frozenset[int] = NOTHING
    """Those of `partitions` that another worker is given as soon as it is warm."""
    workers: int = 1
    """How many the group has."""

    def encode(self) -> bytes:
        """As JSON; sets as sorted lists."""
        return orjson.dumps(self, default=sorted)

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Of this worker, as the group's leader wrote it.

        Raises:
            ValueError: it is no share.
        """
        said = _decoded(encoded)
        return cls(
            partitions=_numbers(said, "partitions"),
            standby=_numbers(said, "standby"),
            coming=_numbers(said, "coming"),
            going=_numbers(said, "going"),
            workers=int(said.get("workers", 1)),
        )


def _decoded(encoded: bytes) -> Mapping[str, Any]:
    said = orjson.loads(encoded) if encoded else {}
    if not isinstance(said, dict):
        raise ValueError("not an object")
    return said


def _numbers(said: Mapping[str, Any], name: str) -> frozenset[int]:
    numbers = said.get(name, [])
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        raise ValueError(f"{name} is not a list of whole numbers")
    return frozenset(numbers)
