"""The real pool under jobs that hang, raise, die or give NaN; it recovers by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from stream_app.errors import TrainingError
from stream_app.ops.metrics import REGISTRY
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.training import pool as pool_module
from stream_app.training.gate import Verdict
from stream_app.training.job import TrainedModel, TrainingJob, run_job
from stream_app.training.niceness import session_nice
from stream_app.training.pool import TrainingPool
from stream_app.training.process import initialise_process
from stream_app.training.settings import model_settings
from tests.builders import records, settings, walk

pytestmark = pytest.mark.timeout(300)


def job(model: str = "kalman") -> TrainingJob:
    partition = PartitionPipeline(PredictionSettings.of(settings()))
    partition.process(records(walk(4 * 230)))
    bars = partition.symbols["BTC"].window.columns()
    return TrainingJob(symbol="BTC", model=model, bars=bars, settings=model_settings(settings()))


def hang(job: TrainingJob) -> TrainedModel:
    time.sleep(10_000)
    return run_job(job)


def die(job: TrainingJob) -> TrainedModel:
    os.kill(os.getpid(), signal.SIGKILL)
    return run_job(job)


def run_out_of_memory(job: TrainingJob) -> TrainedModel:
    raise MemoryError("no more")


@pytest.fixture
async def pool() -> AsyncIterator[TrainingPool]:
    with TrainingPool(1) as made:
        yield made


async def still_works(pool: TrainingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "run_job", run_job)
    assert (await pool.run(job())).name == "kalman"


async def test_a_job_that_hangs_is_killed_when_its_wait_is_cancelled(
    pool: TrainingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "run_job", hang)
    before = set(psutil.Process().children())
    waiting = asyncio.create_task(pool.run(job()))
    await asyncio.sleep(3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await still_works(pool, monkeypatch)
    assert len(set(psutil.Process().children()) - before) <= 2


def restarts() -> float:
    """The processes that took another's place, as the metrics say."""
    counted = REGISTRY.get_sample_value("stream_app_pool_restarts_total")
    assert counted is not None
    return counted


@pytest.mark.parametrize(
    ("fault", "words", "replaced"), [(die, "Abnormal", 1), (run_out_of_memory, "no more", 0)]
)
async def test_a_job_that_dies_is_an_error_and_the_pool_goes_on(
    pool: TrainingPool, monkeypatch: pytest.MonkeyPatch, fault: Any, words: str, replaced: int
) -> None:
    before = restarts()
    monkeypatch.setattr(pool_module, "run_job", fault)
    with pytest.raises(Exception, match=words) as raised:  # the class is pebble's or the job's
        await pool.run(job())
    assert str(raised.value)
    await still_works(pool, monkeypatch)
    assert restarts() - before == replaced


def pool_processes(pool: TrainingPool) -> list[int]:
    workers: Any = pool._pool._pool_manager.worker_manager
    return list(workers.workers)


@pytest.mark.skipif(session_nice(os.getpid()) is None, reason="sessions have no nice value here")
async def test_processes_get_more_and_less_of_the_cores_and_so_does_one_that_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "start_process", initialise_process)  # without the imports
    monkeypatch.setattr(pool_module, "run_job", tell_pid)
    here, given = session_nice(os.getpid()), job()
    assert here is not None
    with TrainingPool(2) as pool:
        await pool.prioritise(0)  # before there are any
        await asyncio.gather(*(pool.run(given) for _ in range(4)))
        for niceness in (10, 5, 0):
            await until_ranked(pool, niceness, min(19, here + niceness))
        before = set(pool_processes(pool))
        os.kill(min(before), signal.SIGKILL)
        while set(pool_processes(pool)) & before:
            await pool.run(given)
        await until_ranked(pool, 0, here)
        assert session_nice(os.getpid()) == here


async def until_ranked(pool: TrainingPool, niceness: int, wanted: int) -> None:
    """As the timer does: a process that is just starting is found by a later call."""
    async with asyncio.timeout(120):
        while [session_nice(pid) for pid in pool_processes(pool)] != [wanted] * 2:
            await pool.prioritise(niceness)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("noticed", [False, True], ids=["just now", "between cycles"])
async def test_a_process_that_dies_without_a_job_is_replaced_and_the_next_jobs_are_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, noticed: bool
) -> None:
    """As the kernel ends one when memory runs out. pebble gives the whole pool up then."""
    monkeypatch.setattr(pool_module, "run_job", tell_pid)
    given = job()
    with TrainingPool(2) as pool:
        await pool.run(given)
        broken = pool._pool
        before = pool_processes(pool)
        os.kill(before[0], signal.SIGKILL)
        while noticed and broken.active:
            await asyncio.sleep(0.05)
        done = await asyncio.gather(*(pool.run(given) for _ in range(4)))
        assert before[0] not in {model.rows for model in done}
        if noticed:
            assert not set(before) & set(pool_processes(pool))
            assert not any(psutil.pid_exists(pid) for pid in before)
            assert sum("died while it had no job" in line for line in caplog.messages) == 1


async def test_processes_that_die_at_each_start_are_an_error_and_not_an_endless_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "start_process", end_at_once)
    with TrainingPool(1) as pool, pytest.raises((BrokenProcessPool, RuntimeError)):
        await pool.run(job())


def end_at_once() -> None:
    os._exit(1)


@pytest.mark.parametrize("model", ["kalman", "random_forest", "lightgbm", "lstm"])
async def test_prices_that_are_not_finite_are_an_error_and_no_model(
    pool: TrainingPool, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    bad = job(model)
    close = bad.bars.log_close.copy()
    close[100] = np.nan
    with pytest.raises(TrainingError, match="not finite"):
        await pool.run(replace(bad, bars=replace(bad.bars, log_close=close)))
    await still_works(pool, monkeypatch)


async def test_a_process_is_replaced_after_its_share_of_jobs(
    pool: TrainingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "run_job", tell_pid)
    given = job()
    pids = [(await pool.run(given)).rows for _ in range(pool_module.JOBS_PER_PROCESS + 1)]
    assert len(set(pids[:-1])) == 1
    assert pids[-1] != pids[0]


async def test_it_says_when_a_process_takes_a_job(
    pool: TrainingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr(pool_module, "run_job", hang)
    first = asyncio.create_task(pool.run(job(), lambda: begun.append("first")))
    while not begun:
        await asyncio.sleep(0.05)
    monkeypatch.setattr(pool_module, "run_job", run_job)
    second = asyncio.create_task(pool.run(job(), lambda: begun.append("second")))
    await asyncio.sleep(0.5)
    assert begun == ["first"]
    first.cancel()  # its process is killed, another one starts
    assert (await second).name == "kalman"
    assert begun == ["first", "second"]


async def test_jobs_that_were_cancelled_before_they_began_cost_no_process(
    pool: TrainingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "run_job", hang)
    begun = asyncio.Event()
    running = asyncio.create_task(pool.run(job(), begun.set))
    await begun.wait()
    waiting = [asyncio.create_task(pool.run(job())) for _ in range(3)]
    await asyncio.sleep(0.2)
    before = restarts()
    for task in [*waiting, running]:
        task.cancel()
    await asyncio.gather(running, *waiting, return_exceptions=True)
    await still_works(pool, monkeypatch)
    assert restarts() - before == 1  # in place of the one whose job ran


def tell_time(job: TrainingJob) -> TrainedModel:
    path = Path(job.symbol)
    while not path.exists():
        time.sleep(0.01)
    return TrainedModel(name=job.model, artifact=b"", seconds=time.monotonic(), rows=0, data_to=0)


def judge_time(_job: Any) -> Verdict:
    return Verdict(check=None, reason="", figures={"at": time.monotonic()})


async def test_a_judgement_goes_ahead_of_the_jobs_that_wait(
    pool: TrainingPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pool_module, "run_job", tell_time)
    monkeypatch.setattr(pool_module, "run_gate", judge_time)
    gate = tmp_path / "open"
    held, begun = replace(job(), symbol=str(gate)), asyncio.Event()
    running = asyncio.create_task(pool.run(held, begun.set))
    await begun.wait()
    waiting = [asyncio.create_task(pool.run(held)) for _ in range(4)]
    await asyncio.sleep(0)
    anything: Any = None
    judged = asyncio.create_task(pool.judge(anything))
    cancelled = asyncio.create_task(pool.judge(anything))
    await asyncio.sleep(0)
    cancelled.cancel()
    gate.touch()
    at = (await judged).figures["at"]
    await running
    times = sorted([(await task).seconds for task in waiting])
    # The first of those that waited had asked for the process before.
    assert times[0] < at < times[1]


def tell_pid(job: TrainingJob) -> TrainedModel:
    return TrainedModel(name=job.model, artifact=b"", seconds=0.0, rows=os.getpid(), data_to=0)


async def test_ctrl_c_while_the_processes_start_gives_no_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A terminal sends it to all processes. Their imports take seconds."""
    with TrainingPool(2) as pool:
        ready = pool.warm_up()
        while not ready.done():
            for process in pool._context._made:
                if process.pid:
                    os.kill(process.pid, signal.SIGINT)
            await asyncio.sleep(0.02)
        first = pool._context.pids()
        assert (await pool.run(job())).name == "kalman"
        assert pool._context.pids() == first
    assert "Traceback" not in capfd.readouterr().err
