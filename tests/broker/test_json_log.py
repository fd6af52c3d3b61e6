"""A worker with `LOG_FORMAT=json`: each line of its log is an object, with what it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stream_app.kafka.topic_check import Topics
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, feed


async def test_each_line_of_a_worker_says_what_it_is_about(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(
        log_format="json",
        bar_seconds=60,
        training_window_days=1,
        min_training_bars=200,
        # A training that is not done in time says as much, and sooner.
        lstm_epochs=100_000,
        retrain_target_seconds=1,
        retrain_deadline_seconds=1,
    )
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, walk(1000, symbol="A"))
        await worker.until("Retraining failed")
        assert worker.terminate() == 0, worker.text()
    lines: list[dict[str, Any]] = [json.loads(line) for line in worker.text().splitlines()]
    assert all({"timestamp", "level", "logger", "message"} <= line.keys() for line in lines)

    def about(beginning: str) -> list[dict[str, Any]]:
        names = ("symbol", "cycle", "partition")
        return [
            {name: line[name] for name in names if name in line}
            for line in lines
            if line["message"].startswith(beginning)
        ]

    restored = about("partition ")
    assert sorted(item["partition"] for item in restored) == list(
        range(topics_on_broker.ticks.partitions)
    )
    (began, *_), trained = about("Starting model retraining"), about("Training LSTM model...")
    assert began["cycle"]
    assert trained[0] == {"symbol": "A", "cycle": began["cycle"]}
    assert about("Retraining failed")[0] == {"cycle": began["cycle"]}
    assert about("Worker started") == [{}]
