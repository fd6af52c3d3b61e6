"""A worker whose clients see new partitions within a second."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import aiokafka

from stream_app.cli import main


def impatient(create: Callable[..., None]) -> Callable[..., None]:
    """A client's constructor with a short age of what it knows of the topics."""

    def made(self: Any, *topics: str, **arguments: Any) -> None:
        create(self, *topics, **{**arguments, "metadata_max_age_ms": 1000})

    return made


if __name__ == "__main__":
    for client in (aiokafka.AIOKafkaConsumer, aiokafka.AIOKafkaProducer):
        client.__init__ = impatient(client.__init__)
    main(sys.argv[1:])
