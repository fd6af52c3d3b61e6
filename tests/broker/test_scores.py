"""Live scores through a kill: the same as if nothing had happened; and `stream-app scores`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.kafka.topic_check import Topics
from stream_app.messages.codec import encode_score
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, command, feed, read_all, read_until, read_while

pytestmark = pytest.mark.timeout(300)


async def test_a_killed_worker_goes_on_with_the_same_scores(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60, min_training_bars=8000, horizon_bars=2)
    ticks = list(walk(4000))

    nothing = await command(settings, "scores")
    assert nothing.returncode == 0, nothing.stderr
    assert nothing.stdout.startswith("No forecast has an outcome yet")

    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, ticks[:2500])
        await read_until(worker, topics_on_broker.predictions, 2500)
        worker.kill()
        worker.start()
        await feed(settings, ticks[2500:])
        await read_until(worker, topics_on_broker.predictions, 4000)
        # Bar 999 is open: 999 have closed, and two of them wait for their outcome.
        told = await read_while(
            worker, topics_on_broker.scores, lambda found: len({s["ts_open"] for s in found}) < 997
        )
        assert worker.terminate() == 0, worker.text()

    records = await read_all(settings, topics_on_broker.ticks)
    undisturbed = PartitionPipeline(PredictionSettings.of(settings)).process(records)
    expected = {each.ts_open: orjson.loads(encode_score(each)) for each in undisturbed.scores}
    assert len(expected) == 997
    assert {each["ts_open"] for each in told} == expected.keys()
    for each in told:
        assert each == expected[each["ts_open"]]
    assert expected[max(expected)]["running"]["day"]["published"]["n"] == 16 * 60

    shown = await command(settings, "scores", "BTC")
    assert shown.returncode == 0, shown.stderr
    assert "BTC: 120 s ahead" in shown.stdout
    assert "last price" in shown.stdout
    as_json = await command(settings, "scores", "--json")
    newest: dict[str, Any] = orjson.loads(as_json.stdout.splitlines()[-1])
    assert newest["BTC"] == expected[max(expected)]
    unknown = await command(settings, "scores", "ETH")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.strip().endswith("there are scores of BTC")
    assert unknown.stderr.count("\n") == 1
