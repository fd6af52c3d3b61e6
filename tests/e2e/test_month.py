"""A real month of prices through feed, broker, worker and output topic, on Apache Kafka."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.feed.files import read_ticks
from stream_app.kafka.topic_check import Topics
from stream_app.models.catalog import CATALOG
from tests.conftest import SettingsFor, needs_kafka
from tests.workers import WorkerProcess, environment, read_until

MONTH = Path(
    os.environ.get("STREAM_APP_DATA")
    or Path(__file__).parents[2].parent / "shared/data/btc-perp-1m-2022-01.csv.gz"
)

pytestmark = [
    pytest.mark.data,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not MONTH.is_file(), reason=f"no month of prices at {MONTH}"),
]


def halves(folder: Path) -> list[Path]:
    """The month as two files, cut in the middle."""
    head, *rows = gzip.decompress(MONTH.read_bytes()).splitlines(keepends=True)
    cut = len(rows) // 2
    paths = []
    for number, part in enumerate((rows[:cut], rows[cut:])):
        paths.append(folder / f"part-{number}.csv.gz")
        paths[-1].write_bytes(gzip.compress(head + b"".join(part), 1))
    return paths


@pytest.mark.parametrize("broker", [pytest.param("kafka", marks=needs_kafka)], indirect=True)
async def test_a_month_gives_as_many_predictions_as_ticks_and_all_four_models(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for()
    count = read_ticks(MONTH).count
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        # The month in two parts, so that the second finds the models whatever the speed.
        for part in halves(tmp_path):
            command = [sys.executable, "-m", "stream_app", "feed", str(part), "--symbol", "BTC"]
            fed = subprocess.run(
                command, env=environment(settings), capture_output=True, text=True, check=False
            )
            assert fed.returncode == 0, fed.stderr
            await worker.until("(all 4 models)")
        predictions = await read_until(worker, topics_on_broker.predictions, count)
        assert worker.terminate() == 0, worker.text()
    assert len(predictions) == count == 180_124
    assert len({message["id"] for message in predictions}) == count
    full = [message for message in predictions if not message["degraded"]]
    assert full, "no four-model prediction"
    first = predictions.index(full[0])
    for message in predictions[first:]:
        assert set(message["members"]) == set(CATALOG)
        assert message["degraded"] == []
    assert {message["symbol"] for message in predictions} == {"BTC"}
    assert first < count * 0.6
