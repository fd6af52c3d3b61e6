"""Puts the parts of the reading together: for the dashboard, for `top` and for the demo."""

from __future__ import annotations

import asyncio

from stream_app.clock import SystemClock
from stream_app.kafka.connection import client_settings
from stream_app.kafka.topic_check import load_topics
from stream_app.overview.follow import Follower
from stream_app.overview.health import Bounds
from stream_app.overview.read_model import ReadModel
from stream_app.overview.watch import Watch
from stream_app.settings import Settings


class Observer:
    """Keeps a read model up to date while it runs.

    Args:
        settings: those of the workers.

    Raises:
        ConfigError: a certificate is unusable.
        TopicError: topics.yaml is wrong.
    """

    def __init__(self, settings: Settings) -> None:
        topics = load_topics(settings.topics_file)
        connection = client_settings(settings)
        self.clock = SystemClock()
        self.model = ReadModel(self.clock)
        self.bounds = Bounds(
            retrain_target_s=settings.retrain_target_seconds,
            retrain_interval_s=settings.retrain_interval_hours * 3600,
            retrain_deadline_s=settings.retrain_deadline_seconds,
        )
        watch = Watch(topics, connection, group=settings.consumer_group, model=self.model)
        self._parts = (watch, Follower(topics, connection, watch, self.model))

    async def run(self) -> None:
        """Follow the topics until cancelled, also while the broker is away."""
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(part.run())
