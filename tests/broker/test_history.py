"""`history` and `verify` on retrain events that lie on the topic, without a worker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
import pytest

from stream_app.kafka.producer import connected_producer
from stream_app.kafka.topic_check import Topics
from stream_app.messages.codec import encode_retrain_event
from stream_app.messages.schemas import RetrainEvent
from tests.conftest import SettingsFor
from tests.workers import environment

pytestmark = pytest.mark.timeout(300)

EVENT: Final = RetrainEvent(
    cycle="c1",
    state="succeeded",
    trigger="initial",
    timestamp="",
    duration_seconds=20.0,
    lstm_included=True,
    target_seconds=45.0,
    exceeded=False,
    rows=100,
    worker="w1",
    symbols=("AAA",),
    versions={"AAA": "v1"},
    waiting_seconds={"BBB": 600.0, "CCC": 60.0},
)


async def test_who_waits_is_told_and_an_event_without_a_time_is_left_out(
    settings_for: SettingsFor, topics_on_broker: Topics
) -> None:
    settings = settings_for(retrain_interval_hours=0.5)
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    told = encode_retrain_event(replace(EVENT, timestamp=hour_ago))
    older = orjson.loads(told)
    for name in ("waiting_seconds", "skipped", "last_price"):
        del older[name]
    undated = encode_retrain_event(replace(EVENT, timestamp="2026-01-01T00:00:00"))
    async with connected_producer(settings) as producer:
        for value in (orjson.dumps(older), undated, told):
            await producer.send_and_wait(topics_on_broker.retrain_events.name, value, key=b"w1")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stream_app", *arguments],
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    shown = await asyncio.to_thread(run, "history")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("initial") == 2
    assert "2 waiting, up to 10 min" in " ".join(shown.stdout.split())
    last = shown.stdout.splitlines()[-1]
    assert last.startswith("waiting for a training: BBB 1 h 10 min, CCC 1 h 1 min")
    assert "offset 1: the timestamp '2026-01-01T00:00:00' has no time zone; left out" in (
        shown.stderr
    )
    assert "Traceback" not in shown.stderr
    checked = await asyncio.to_thread(run, "verify", "--wait", "0.5", "--json")
    assert checked.returncode == 1
    found = {
        check["name"]: check for check in orjson.loads(checked.stdout.splitlines()[-1])["checks"]
    }
    assert not found["every symbol"]["passed"]
    assert "BBB 1 h 10 min" in found["every symbol"]["detail"]
    assert found["initial training"]["detail"] == "without models so far: BBB, CCC"
    assert found["in time"]["passed"]
