"""The ticks agent: hands each batch of records to the service."""

from __future__ import annotations

from typing import Any, cast

import faust

from stream_app.kafka.topic_check import Topics
from stream_app.worker.service import TickService
from stream_app.worker.transport import BatchConsumer


def add_ticks_agent(app: faust.App, topics: Topics, service: TickService) -> None:
    """Register the agent. It reads raw bytes: `prediction` decodes them."""
    channel = app.topic(
        topics.ticks.name,
        value_serializer="raw",
        key_serializer="raw",
        acks=False,  # commits follow the ledger
    )

    @app.agent(channel, name="ticks", concurrency=1)
    async def ticks(stream: Any) -> None:
        async for batch in stream:
            await service.answer(batch)
            cast(BatchConsumer, app.consumer).done(batch)
