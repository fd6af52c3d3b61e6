"""The ticks agent: hands each batch of records to the service."""

from __future__ import annotations

from typing import Any

import faust

from stream_app.service import TickService
from stream_app.topics import Topics


def add_ticks_agent(app: faust.App, topics: Topics, service: TickService) -> None:
    """Register the agent. It reads raw bytes: decoding, and dead letters, are the codec's."""
    channel = app.topic(topics.ticks.name, value_serializer="raw", key_serializer="raw")

    @app.agent(channel, name="ticks", concurrency=1)
    async def ticks(stream: Any) -> None:
        async for batch in stream:
            await service.answer(batch)
