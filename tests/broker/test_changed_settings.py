"""A worker that is restarted with another BAR_SECONDS, on each broker."""

from __future__ import annotations

import re
from pathlib import Path

from stream_app.kafka.topic_check import Topics
from stream_app.messages.codec import decode_bar
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.workers import WorkerProcess, feed, read_all, read_until

TICKS = list(walk(500, symbol="A"))


async def test_bars_of_another_length_are_left_out_with_a_line(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60, training_window_days=1, min_training_bars=1440)
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, log) as worker:
        await feed(settings, TICKS[:200])
        await read_until(worker, topics_on_broker.predictions, 200)
        assert worker.terminate() == 0, worker.text()
    records = await read_all(settings, topics_on_broker.bars)
    old = len({decode_bar(record.value or b"").ts_open for record in records})
    assert len(records) > old > 40  # with a checkpoint at the end
    other = settings.model_copy(update={"bar_seconds": 30})
    with WorkerProcess(other, log) as worker:
        await feed(other, TICKS[200:300])
        await read_until(worker, topics_on_broker.predictions, 300)
        assert f"left out {old} bars of 60 s, for BAR_SECONDS is 30" in worker.text()
        assert worker.terminate() == 0, worker.text()
    bars = [decode_bar(item.value or b"") for item in await read_all(other, topics_on_broker.bars)]
    new = {bar.ts_open for bar in bars if bar.bar_s == 30}
    assert len(new) >= 49  # 100 ticks, two in a bar, the last bars still open
    with WorkerProcess(settings, log) as worker:
        await feed(settings, TICKS[300:])
        answers = await read_until(worker, topics_on_broker.predictions, 500)
        restored = re.search(r"restored 1 symbols, (\d+) bars", worker.text())
        assert restored is not None, worker.text()
        assert int(restored[1]) == old
    by_offset = {answer["source"]["offset"]: answer for answer in answers}
    missing = "history: a part of it is missing"
    assert missing not in by_offset[299]["degraded"]
    assert missing in by_offset[300]["degraded"]
