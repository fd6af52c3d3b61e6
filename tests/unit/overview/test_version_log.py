"""Which version of a symbol serves, as the events tell it where the champions topic does not."""

from __future__ import annotations

from stream_app.messages.schemas import RetrainEvent
from stream_app.overview.version_log import VersionLog


def event(hour: int, version: str) -> RetrainEvent:
    return RetrainEvent(
        cycle="c",
        state="succeeded",
        trigger="scheduled",
        timestamp=f"2026-01-01T{hour:02}:00:00.000+00:00",
        duration_seconds=1.0,
        lstm_included=True,
        target_seconds=45.0,
        exceeded=False,
        rows=1,
        versions={"A": version},
        worker="w1",
    )


def test_a_retrain_that_learned_nothing_new_leaves_since_when_a_version_serves() -> None:
    log = VersionLog()
    for hour, version in enumerate(["one", "two", "two", "two"]):
        log.take_event(event(hour, version))
    assert [line["version"] for line in log.table("A")] == ["two", "one"]
    serving = log.serving("A")
    assert serving is not None
    assert serving.since.startswith("2026-01-01T01")
    assert log.noted == 2
