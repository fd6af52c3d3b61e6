"""A worker with one part that does not do what it should; which one, the environment says."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import TopicAuthorizationFailedError, UnsupportedCodecError

from stream_app.cli import main
from stream_app.worker import takeovers
from stream_app.worker.publisher import Publisher

FAULTS = (
    "group's client",
    "task stays",
    "loop is blocked",
    "restore hangs",
    "restore is refused",
)
FAULT_AT = 300
"""The offset of the record that cannot be read."""


async def stays(*_: Any, **__: Any) -> None:
    """Swallows every cancellation, as some of Faust's tasks do."""
    sys.stderr.write("now it stays\n")
    while True:
        try:
            await asyncio.sleep(10_000)
        except asyncio.CancelledError:
            sys.stderr.write("cancelled, and it stays\n")


async def blocks(*_: Any, **__: Any) -> None:
    sys.stderr.write("now it blocks\n")
    time.sleep(10_000)


async def is_refused(*_: Any, **__: Any) -> None:
    raise TopicAuthorizationFailedError("market.bars.v1")


unpack = PartitionRecords._unpack_records


def cannot_be_read(self: Any) -> Any:
    for record in unpack(self):
        if record.topic.endswith("market.ticks.v1") and record.offset >= FAULT_AT:
            raise UnsupportedCodecError("Libraries for zstd compression codec not found")
        yield record


if __name__ == "__main__":
    fault = os.environ["STREAM_APP_FAULT"]
    assert fault in FAULTS
    if fault == "group's client":
        PartitionRecords._unpack_records = cannot_be_read
    if fault == "task stays":
        Publisher.stop = stays  # type: ignore[method-assign]
    if fault == "loop is blocked":
        Publisher.stop = blocks  # type: ignore[method-assign]
    if fault == "restore hangs":
        setattr(takeovers, "restore_partition", stays)  # noqa: B010 - the module does not export it
    if fault == "restore is refused":
        setattr(takeovers, "restore_partition", is_refused)  # noqa: B010
    main(sys.argv[1:])
