"""Reads the finished retrain cycles from the retrain events topic."""

from __future__ import annotations

from typing import Final

from stream_app.kafka.last_messages import read_last_messages
from stream_app.messages.codec import decode_retrain_event, require_dated
from stream_app.messages.schemas import RetrainEvent
from stream_app.settings import Settings

_MOST_EVENTS: Final = 100_000


async def read_history(settings: Settings) -> list[RetrainEvent]:
    """The finished cycles, oldest first; waits and raises as `read_last_messages`."""
    events = await read_last_messages(
        settings, lambda topics: topics.retrain_events, _MOST_EVENTS, _dated
    )
    return [event for event in events if event.state != "started"]


def _dated(value: bytes) -> RetrainEvent:
    event = decode_retrain_event(value)
    require_dated(event)
    return event
