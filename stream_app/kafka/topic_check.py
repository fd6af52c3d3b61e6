"""Compares topics.yaml with the broker's topics, and applies it to them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from aiokafka.errors import KafkaError

from stream_app.errors import TopicError
from stream_app.kafka.topic_admin import ActualTopic, RefusedError, TopicAdmin, connected
from stream_app.kafka.topics import Service, Topics, TopicSpec, load_topics
from stream_app.kafka.twins import twins, widen

__all__ = [
    "ApplyReport",
    "CheckReport",
    "Mismatch",
    "Service",
    "TopicSpec",
    "Topics",
    "apply_topics",
    "check_topics",
    "load_topics",
    "require_topics",
]

_VISIBLE_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference between topics.yaml and the broker."""

    topic: str
    key: str
    """What differs: "topic", "partitions", "replication" or a config's name."""
    message: str
    """One line with both values and the remedy."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The differences between the broker's topics and topics.yaml."""

    mismatches: tuple[Mismatch, ...]
    skipped: tuple[str, ...]
    """Configs that the broker does not report, as "topic: config". They cannot be compared.

    Apache Kafka reports every config that it knows, so it skips only misspelt names. The embedded
    broker reports the configs that a topic was created with.
    """


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What was changed on the broker, and what it refused; one line for each."""

    changes: tuple[str, ...]
    refusals: tuple[str, ...]


async def check_topics(topics: Topics, client: Mapping[str, Any]) -> CheckReport:
    """Compare the broker's topics with topics.yaml. Changes nothing.

    Waits for the broker. `stream-app topics check` and `require_topics` call it.

    Args:
        topics: the topics as they should be.
        client: from `connection.client_settings`.

    Raises:
        BrokerError: the broker does not answer.
    """
    async with connected(client) as admin:
        found = await admin.describe(spec.name for spec in topics.specs)
    mismatches: list[Mismatch] = []
    skipped: list[str] = []
    for spec in topics.specs:
        for item in _differences(spec, found.get(spec.name)):
            if item.there is None:
                skipped.append(f"{spec.name}: {item.key}")
                continue
            message = (
                f"{spec.name}: {topics.file.name} says {item.wanted}, the broker has {item.there}; "
                + _remedy(
                    topics,
                    spec,
                    item,
                    found.get(spec.name),
                    f"run `stream-app topics apply` or change {topics.file.name}",
                )
            )
            mismatches.append(Mismatch(spec.name, item.key, message))
    return CheckReport(tuple(mismatches), tuple(skipped))


def _remedy(
    topics: Topics, spec: TopicSpec, item: _Difference, actual: ActualTopic | None, otherwise: str
) -> str:
    """What to do about a difference; Kafka cannot lower a partition count."""
    if item.key == "partitions" and actual is not None and actual.partitions > spec.partitions:
        if spec in twins(topics):
            return widen(topics, actual.partitions)
        return f"set `partitions: {actual.partitions}` for it in {topics.file.name}"
    return otherwise


async def require_topics(topics: Topics, client: Mapping[str, Any]) -> None:
    """Return if the broker's topics match topics.yaml. Waits for the broker.

    The worker calls it before it starts: with other partition counts its answers would be wrong.

    Raises:
        TopicError: they differ; one line with both values of the first difference.
        BrokerError: the broker does not answer.
    """
    mismatches = (await check_topics(topics, client)).mismatches
    if mismatches:
        more = f" (and {len(mismatches) - 1} more differences)" if len(mismatches) > 1 else ""
        raise TopicError(mismatches[0].message + more)


async def apply_topics(topics: Topics, client: Mapping[str, Any]) -> ApplyReport:
    """Create missing topics, raise partition counts and change configs. Deletes nothing.

    Returns when the broker lists all topics with leaders, as they were changed. Applying twice is
    the same as once. Waits for the broker. `stream-app topics apply`, the demo and the tests call
    it.

    Args:
        topics: the topics as they should be.
        client: from `connection.client_settings`.

    Raises:
        TopicError: the broker refuses to create a topic, with its reason.
        BrokerError: the broker does not answer.
    """
    changes: dict[str, list[str]] = {spec.name: [] for spec in topics.specs}
    refusals: list[str] = []
    changed: set[tuple[str, str]] = set()
    narrow: set[str] = set()
    """Topics that did not get their partitions."""
    async with connected(client) as admin:
        found = await admin.describe(spec.name for spec in topics.specs)
        # The ticks last: a worker must not be given a partition whose answers have no place yet.
        for spec in sorted(topics.specs, key=lambda spec: spec is topics.ticks):
            actual = found.get(spec.name)
            if actual is None:
                await admin.create(spec)
                changes[spec.name].append(f"{spec.name}: created, {_partitions(spec)}")
                continue
            for item in _differences(spec, actual):
                if item.there is None:
                    continue
                try:
                    if item.key == "partitions" and spec is topics.ticks:
                        await _require_wide_twins(admin, topics, narrow)
                    changes[spec.name].append(await _change(admin, spec, actual, item.key))
                    changed.add((spec.name, item.key))
                except (KafkaError, RefusedError) as error:
                    narrow |= {spec.name} if item.key == "partitions" else set()
                    otherwise = f"change {topics.file.name}, or delete the topic and apply again"
                    refusals.append(
                        f"{spec.name}: {topics.file.name} says {item.wanted}, the broker keeps "
                        f"{item.there}: {error}; " + _remedy(topics, spec, item, actual, otherwise)
                    )
        await _until_shown(admin, topics, changed)
    return ApplyReport(tuple(chain.from_iterable(changes.values())), tuple(refusals))


@dataclass(frozen=True, slots=True)
class _Difference:
    key: str
    wanted: str
    there: str | None
    """None for a config that the broker does not report."""


def _differences(spec: TopicSpec, actual: ActualTopic | None) -> Iterator[_Difference]:
    if actual is None:
        yield _Difference("topic", _partitions(spec), "no such topic")
        return
    if actual.partitions != spec.partitions:
        yield _Difference("partitions", _partitions(spec), f"{actual.partitions}")
    if actual.replication != spec.replication:
        yield _Difference("replication", f"replication {spec.replication}", f"{actual.replication}")
    for key, wanted in spec.configs.items():
        there = actual.configs.get(key)
        if there != wanted:
            yield _Difference(key, f"{key} {wanted}", there)


def _partitions(spec: TopicSpec) -> str:
    return "1 partition" if spec.partitions == 1 else f"{spec.partitions} partitions"


async def _change(admin: TopicAdmin, spec: TopicSpec, actual: ActualTopic, key: str) -> str:
    if key == "replication":
        raise RefusedError("use kafka-reassign-partitions.sh to change it")
    if key == "partitions":
        await admin.raise_partitions(spec.name, actual, spec.partitions)
        return f"{spec.name}: partitions raised from {actual.partitions} to {spec.partitions}"
    await admin.set_config(spec.name, actual, key, spec.configs[key])
    return f"{spec.name}: {key} set from {actual.configs[key]} to {spec.configs[key]}"


async def _require_wide_twins(admin: TopicAdmin, topics: Topics, refused: Collection[str]) -> None:
    """Return once the broker shows that answers to ticks of more partitions have a place.

    Args:
        admin: connected.
        topics: as they should be.
        refused: names of topics that did not get their partitions.

    Raises:
        RefusedError: one of the ticks' twins did not get its partitions.
    """
    deadline = asyncio.get_running_loop().time() + _VISIBLE_TIMEOUT_S
    others = [spec for spec in twins(topics) if spec is not topics.ticks]
    while True:
        found = await admin.describe(spec.name for spec in others)
        narrow = [
            spec.name
            for spec in others
            if spec.name not in found or found[spec.name].partitions < spec.partitions
        ]
        if not narrow:
            return
        if refused or asyncio.get_running_loop().time() > deadline:
            raise RefusedError(f"{narrow[0]} has fewer, and answers go there")
        await asyncio.sleep(_POLL_S)


async def _until_shown(
    admin: TopicAdmin, topics: Topics, changed: Collection[tuple[str, str]]
) -> None:
    """Kafka says that a change is made before it shows it."""
    async with asyncio.timeout(_VISIBLE_TIMEOUT_S):
        while True:
            found = await admin.describe(spec.name for spec in topics.specs)
            waited_for = (
                item.key == "topic" or (spec.name, item.key) in changed
                for spec in topics.specs
                for item in _differences(spec, found.get(spec.name))
            )
            if not any(waited_for):
                return
            await asyncio.sleep(_POLL_S)
