"""A worker whose client sees new partitions within a second."""

from __future__ import annotations

import sys
from typing import Any

import aiokafka

from stream_app.cli import main

if __name__ == "__main__":
    create = aiokafka.AIOKafkaConsumer.__init__

    def impatient(self: Any, *topics: str, **arguments: Any) -> None:
        create(self, *topics, **{**arguments, "metadata_max_age_ms": 1000})

    aiokafka.AIOKafkaConsumer.__init__ = impatient
    main(sys.argv[1:])
