"""How Faust is set up: what bites is off (docs/faust-hazards.md), and our transport is in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast

import faust
from faust.types import TP
from yarl import URL

from stream_app.kafka.connection import faust_credentials
from stream_app.kafka.topic_check import Topics
from stream_app.settings import Settings
from stream_app.sharing.assignor import GroupAssignor
from stream_app.sharing.reports import Report
from stream_app.worker.no_tables import NoTables
from stream_app.worker.transport import Transport

COMMIT_INTERVAL_S: Final = 1.0
HEARTBEAT_S: Final = 0.2
"""The response announces a rebalance: no worker continues until all know."""
METADATA_MAX_AGE_MS: Final = 30_000
"""New partitions are given to a worker after so long at most."""


def build_faust_app(
    settings: Settings,
    topics: Topics,
    *,
    on_assigned: Callable[[set[TP]], Mapping[TP, int]],
    on_revoked: Callable[[], None],
    until_published: Callable[[], Awaitable[None]],
    hand_over: Callable[[], Awaitable[None]],
    topic_id: Callable[[], str],
    report: Callable[[], Report],
) -> faust.App:
    """The Faust app: no tables, no topics of its own, no web server of its own."""
    servers = [
        URL(f"kafka://{item.strip()}") for item in settings.kafka_bootstrap_servers.split(",")
    ]
    app = faust.App(
        settings.consumer_group,
        broker=servers,
        broker_credentials=faust_credentials(settings),
        broker_session_timeout=settings.kafka_session_timeout_seconds,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_commit_interval=COMMIT_INTERVAL_S,
        broker_max_poll_records=settings.max_batch_ticks * topics.ticks.partitions,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_group_instance_id=settings.kafka_group_instance_id,
        PartitionAssignor=GroupAssignor,
        TableManager=NoTables,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        # Faust lets variables such as WEB_PORT or PROCESSING_GUARANTEE go before these arguments;
        # settings.py alone reads the environment.
        env={},
        autodiscover=False,
        datadir=settings.data_dir / "faust",
        loop=asyncio.get_running_loop(),
    )
    app.transport = Transport(
        servers,
        app,
        on_assigned=on_assigned,
        on_revoked=on_revoked,
        until_published=until_published,
        hand_over=hand_over,
        topic_id=topic_id,
        max_batch=settings.max_batch_ticks,
    )
    assignor = cast(GroupAssignor, app.assignor)
    assignor.report, assignor.standbys, assignor.topic = (
        report,
        settings.standbys,
        topics.ticks.name,
    )
    return app
