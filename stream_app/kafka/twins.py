"""What is made from a partition of the ticks goes to the partition of the same number elsewhere."""

from __future__ import annotations

import asyncio
from typing import Final

from stream_app.errors import TopicError
from stream_app.kafka.group import GroupView
from stream_app.kafka.topics import CO_PARTITIONED, Topics, TopicSpec

WAIT_S: Final = 10.0
"""For partitions that are being added to one topic after the other."""
_LOOK_EVERY_S: Final = 0.5


def widen(topics: Topics, partitions: int) -> str:
    """The remedy where the ticks topic has more partitions than topics.yaml says."""
    names = ", ".join(spec.name for spec in twins(topics))
    return (
        f"set `partitions: {partitions}` for {names} in {topics.file.name} and run `stream-app "
        "topics apply`"
    )


def twins(topics: Topics) -> list[TopicSpec]:
    """The topics whose partitions belong together by number, the ticks first."""
    return [getattr(topics, role) for role in CO_PARTITIONED]


async def require_twins(topics: Topics, view: GroupView, partition: int) -> None:
    """Return once every topic that the worker writes to has this partition. Waits on the broker.

    Called when the worker is given a partition: without its twins no answer could be published.

    Raises:
        TopicError: one of them has not; one line that names both sides and the remedy.
        KafkaError: the broker does not answer.
    """
    ticks, *others = twins(topics)
    # At once: ticks of a partition that is taken over wait for each answer.
    await asyncio.gather(*(_require(spec, ticks, topics, view, partition) for spec in others))


async def _require(
    spec: TopicSpec, ticks: TopicSpec, topics: Topics, view: GroupView, partition: int
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_S
    while (there := (await view.known_topic(spec.name)).partitions) <= partition:
        if loop.time() > deadline:
            count = (await view.known_topic()).partitions
            raise TopicError(
                f"{spec.name}: the broker has {there} partitions, but {count} of {ticks.name}; "
                + widen(topics, count)
            )
        await asyncio.sleep(_LOOK_EVERY_S)
