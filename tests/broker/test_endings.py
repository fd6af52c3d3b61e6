"""How a worker ends: in order, by its watchdog, by kill -9; and what it leaves behind."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import orjson
import psutil
import pytest

from stream_app.kafka.topic_check import Topics
from stream_app.ops.watchdog import EXIT_CODE
from stream_app.settings import Settings
from tests.builders import walk
from tests.conftest import SettingsFor
from tests.endings import FAULT_AT
from tests.figures import note
from tests.workers import DEADLINE_S, WorkerProcess, environment, feed, read_all, ready

pytestmark = pytest.mark.timeout(400)

TRAINS = {
    "bar_seconds": 60,
    "training_window_days": 1,
    "min_training_bars": 200,
    "lstm_epochs": 500,  # a retrain that is still going on when the worker ends
}


async def all_children(worker: WorkerProcess) -> list[psutil.Process]:
    """The training processes, once both are there."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            children = psutil.Process(worker.process.pid).children(recursive=True)
            if len(children) >= 2:
                return children
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", ["terminate", "kill"])
async def test_no_child_is_left_behind_in_the_middle_of_a_retrain(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, how: str
) -> None:
    settings = settings_for(**TRAINS)
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        await feed(settings, list(walk(1200, symbol="A")))
        await worker.until("Training LSTM model...")
        children = await all_children(worker)
        if how == "terminate":
            began = time.monotonic()
            assert worker.terminate() == 0, worker.text()
            seconds = time.monotonic() - began
            note("SIGTERM in the middle of a retrain, to the end", "under 10 s", f"{seconds:.1f} s")
            assert "Worker stopped" in worker.text()
            assert "Retraining failed" not in worker.text()
            assert "ending without it" not in worker.text()
        else:
            worker.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    records = await read_all(settings, topics_on_broker.retrain_events)
    events = [orjson.loads(record.value or b"") for record in records]
    assert events[0]["state"] == "started"
    if how == "terminate":
        assert events[-1]["state"] == "failed"
        assert events[-1]["reasons"] == ["the worker was stopped"]


STUCK = textwrap.dedent("""
    import sys, time
    from stream_app.prediction.pipeline import PartitionPipeline
    from stream_app.cli import main

    answer = PartitionPipeline.answer

    def stuck(self, batch, **kwargs):
        if any(record.offset >= 300 for record in batch.records):
            print("now it hangs", file=sys.stderr, flush=True)
            time.sleep(10_000)
        return answer(self, batch, **kwargs)

    PartitionPipeline.answer = stuck
    if __name__ == "__main__":
        main(["worker"])
""")


async def test_a_stuck_step_ends_the_process_with_its_own_exit_code(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60, watchdog_seconds=2, max_batch_ticks=50)
    await feed(settings, list(walk(1000, symbol="A")))
    script = tmp_path / "stuck.py"
    script.write_text(STUCK)
    ended = subprocess.run(
        [sys.executable, str(script)],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert "now it hangs" in ended.stderr
    assert ended.returncode == EXIT_CODE == 3, ended.stderr
    said, _, traces = ended.stderr.partition("where each thread is:")
    assert "exit code 3" in said
    assert re.search(r'stuck\.py", line \d+ in stuck', traces), ended.stderr
    # What was answered before is not lost, and a worker without the fault answers the rest.
    with WorkerProcess(settings, tmp_path / "worker.log") as worker:
        from tests.workers import read_until

        messages = await read_until(worker, topics_on_broker.predictions, 1000)
    assert len({message["id"] for message in messages}) == 1000


def faulty(settings: Settings, log: Path, fault: str) -> WorkerProcess:
    variables = {"STREAM_APP_FAULT": fault}
    return WorkerProcess(settings, log, module="tests.endings", variables=variables)


async def ended(worker: WorkerProcess) -> int:
    """The exit code, once the process has ended by itself."""
    return await asyncio.to_thread(worker.process.wait, 120)


async def test_a_fault_of_the_groups_client_ends_the_process(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60)
    with faulty(settings, tmp_path / "worker.log", "group's client") as worker:
        await worker.until("Worker started")
        await feed(settings, list(walk(FAULT_AT + 100, symbol="A")), per_second=200)
        assert await ended(worker) == 1, worker.text()
    text = worker.text()
    assert "Libraries for zstd compression codec not found" in text
    assert "the worker ends: UnsupportedCodecError" in text
    assert text.count("the worker ends:") == 1


async def test_it_is_not_ready_as_soon_as_it_has_failed_and_while_it_ends(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60)
    with faulty(settings, tmp_path / "worker.log", "task stays") as worker:
        await worker.until("restored")
        async with asyncio.timeout(60):
            while await ready(worker) != 200:
                await asyncio.sleep(0.05)
        worker.process.send_signal(signal.SIGTERM)
        await worker.until("now it stays")
        assert await ready(worker) == 503
        assert await ended(worker) == 0, worker.text()


@pytest.mark.parametrize("fault", ["task stays", "loop is blocked"])
async def test_sigterm_ends_a_process_that_does_not_stop(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path, fault: str
) -> None:
    settings = settings_for(bar_seconds=60)
    with faulty(settings, tmp_path / "worker.log", fault) as worker:
        await worker.until("restored")
        assert worker.terminate() == 0, worker.text()
    assert "ending it with exit code 0" in worker.text()


async def test_nothing_lives_on_after_the_end_where_a_restore_hangs(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60)
    with faulty(settings, tmp_path / "worker.log", "restore hangs") as worker:
        await worker.until("now it stays")
        await worker.until("Worker started")
        children = psutil.Process(worker.process.pid).children(recursive=True)
        assert await ready(worker) == 503
        assert worker.terminate() == 0, worker.text()
    assert "stopping the restores takes too long; ending without it" in worker.text()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


async def test_a_restore_that_hangs_is_something_to_do_for_the_watchdog(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60, watchdog_seconds=2)
    with faulty(settings, tmp_path / "worker.log", "restore hangs") as worker:
        assert await ended(worker) == EXIT_CODE, worker.text()


async def test_a_restore_that_can_never_succeed_ends_the_worker_at_once(
    settings_for: SettingsFor, topics_on_broker: Topics, tmp_path: Path
) -> None:
    settings = settings_for(bar_seconds=60)
    with faulty(settings, tmp_path / "worker.log", "restore is refused") as worker:
        assert await ended(worker) == 1, worker.text()
    assert "the worker ends: TopicAuthorizationFailedError" in worker.text()
