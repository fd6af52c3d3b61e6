"""More symbols than a cycle has time for: each gets its turn, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from stream_app.messages.schemas import RetrainEvent
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from stream_app.training.job import TrainedModel, TrainingJob
from tests.fakes import model_set
from tests.unit.training.conftest import SETTINGS, Bench, symbols

MakeBench = Callable[..., Bench]


@pytest.fixture(autouse=True)
def disk_work_takes_no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry writes at once: or the fake clock of other jobs would count as its time."""

    async def at_once(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return work(*args, **kwargs)

    monkeypatch.setattr(asyncio, "to_thread", at_once)


def many(count: int) -> dict[str, SymbolPipeline]:
    """Symbols that share one window: making a window is what takes the time."""
    (first,) = symbols("S00").values()
    chosen = PredictionSettings.of(SETTINGS)
    made = {f"S{number:02d}": SymbolPipeline(f"S{number:02d}", chosen) for number in range(count)}
    for pipeline in made.values():
        pipeline.window = first.window
    return made


def taking(made: Callable[[], Bench], seconds: float) -> Callable[[TrainingJob], None]:
    """Jobs that take so long by the fake clock."""

    def answer(_job: TrainingJob) -> None:
        made().clock.seconds += seconds

    return answer


async def pass_by(made: Bench, seconds: float) -> None:
    """So much time by the fake clock, with the timer's look each second."""
    end_s = made.clock.seconds + seconds
    while made.clock.seconds < end_s:
        made.retrainer.tick()
        before_s = made.clock.seconds
        for _ in range(20):
            await asyncio.sleep(0)
        if made.clock.seconds == before_s and not made.retrainer.is_running:
            made.clock.seconds += 1.0


def ended(made: Bench) -> list[RetrainEvent]:
    return [event for event in made.events if event.state != "started"]


def turns(made: Bench) -> dict[str, list[float]]:
    """By symbol, when it was given new models, in seconds."""
    found: dict[str, list[float]] = defaultdict(list)
    for event in ended(made):
        for symbol in event.versions:
            found[symbol].append(datetime.fromisoformat(event.timestamp).timestamp())
    return found


async def test_what_has_no_time_in_the_first_cycle_follows_at_once_a_symbol_a_cycle(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    made: Bench = bench(
        many(12),
        answer=taking(lambda: made, 0.25),
        retrain_target_seconds=4.5,
        retrain_deadline_seconds=15,
    )
    await pass_by(made, 20)
    first, *others = ended(made)
    fit = len(first.symbols)
    assert 3 <= fit <= 6
    assert (first.plan, first.trigger, len(first.waiting_seconds)) == ({}, "initial", 12 - fit)
    assert [event.symbols for event in others] == [(name,) for name in first.waiting_seconds]
    assert {event.trigger for event in others} == {"initial"}
    assert [event.state for event in made.events] == ["started"] + ["succeeded"] * (1 + 12 - fit)
    assert made.retrainer.waiting_seconds() == {}
    last = datetime.fromisoformat(others[-1].timestamp).timestamp()
    begun = datetime.fromisoformat(made.events[0].timestamp).timestamp()
    assert last - begun < 12 + 2
    said = f"{fit} of 12 symbols fit into a cycle of 4.5s; {12 - fit} wait for the next one, the "
    assert any(line.startswith(said) for line in caplog.messages)


async def test_symbols_of_a_plan_are_trained_evenly_over_the_interval(bench: MakeBench) -> None:
    made: Bench = bench(
        many(12),
        answer=taking(lambda: made, 0.25),
        retrain_target_seconds=4.5,
        retrain_deadline_seconds=15,
        retrain_interval_hours=60 / 3600,
    )
    await pass_by(made, 200)
    planned = [event for event in ended(made) if event.trigger == "scheduled"]
    for event in planned:
        assert len(event.symbols) == len(event.versions) == 1
        assert event.waiting_seconds == {}
        assert event.lstm_included
        assert not event.exceeded
    figures = planned[-1].plan
    assert figures["symbols"] == 12
    assert figures["turn_seconds"] == pytest.approx(1.0, abs=0.3)
    assert figures["busy_seconds"] == pytest.approx(12 * figures["turn_seconds"], abs=0.1)
    assert figures["fit"] == pytest.approx(60 / figures["turn_seconds"], abs=1)
    assert figures["interval_seconds"] == 60
    assert figures["waiting"] == 1
    assert figures["age_seconds"] == pytest.approx(60, abs=5)
    assert figures["deadline_seconds"] == pytest.approx(60, abs=5)
    found = turns(made)
    assert len(found) == 12
    begins = sorted(itertools.chain(*found.values()))[-24:]
    steps = [later - earlier for earlier, later in itertools.pairwise(begins)]
    assert max(steps) <= 5 + 2
    assert min(steps) >= 5 - 2
    gaps = [
        later - earlier for each in found.values() for earlier, later in itertools.pairwise(each)
    ]
    assert max(gaps) <= 60 + 7


@pytest.mark.parametrize("seed", range(2))
async def test_under_any_load_none_is_trained_again_before_all_others_were(
    bench: MakeBench, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice what fits into the interval: all get their turns, the oldest first."""
    rng = random.Random(seed)  # noqa: S311 - repeatable

    def busy(_job: TrainingJob) -> None:
        slowness = 1.0 + 3.0 * (int(made.clock.seconds) // 20 % 3 == 0)
        made.clock.seconds += slowness * rng.uniform(0.05, 0.45)

    made: Bench = bench(
        many(12),
        answer=busy,
        retrain_target_seconds=4.5,
        retrain_deadline_seconds=25,
        retrain_interval_hours=6 / 3600,
    )
    await pass_by(made, 80)
    await made.retrainer.stop()
    counts = dict.fromkeys(made.symbols, 0)
    for event in ended(made):
        for symbol in event.versions:
            counts[symbol] += 1
        assert max(counts.values()) - min(counts.values()) <= 1
    assert min(counts.values()) >= 2
    last = ended(made)[-2].plan
    assert last["fit"] < last["symbols"] == 12
    (line,) = [each for each in caplog.messages if " fit; add workers" in each]
    assert re.fullmatch(
        r"12 symbols need \S+ s of each 6 s on 2 processes: \d fit; add workers, add "
        r"RETRAIN_PROCESSES if there are cores, or raise RETRAIN_INTERVAL_HOURS",
        line,
    )


async def test_turns_of_a_plan_follow_as_soon_as_a_process_is_free(bench: MakeBench) -> None:
    """And no sooner: where they lag behind, the pool is never idle and holds one symbol ahead."""
    running = most = 0

    async def pool(_job: TrainingJob) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        made.clock.seconds += 0.5
        await asyncio.sleep(0)
        running -= 1

    made: Bench = bench(many(8), answer=pool, retrain_target_seconds=3, retrain_deadline_seconds=15)
    await pass_by(made, 17)
    await made.finish()  # the last ends are told
    assert sum(len(event.versions) for event in ended(made)) == 8
    assert made.clock.seconds <= 1000.0 + 18
    assert 4 <= most <= 8


async def test_who_waits_is_known_while_a_cycle_runs(bench: MakeBench) -> None:
    gate = asyncio.Event()
    made = bench(many(3), answer=lambda _: gate.wait(), retrain_processes=1)
    made.retrainer.tick()
    while len(made.jobs) < 4:
        await asyncio.sleep(0)
    made.clock.seconds += 7
    assert made.retrainer.waiting_seconds() == {"S01": 7.0, "S02": 7.0}
    gate.set()
    await made.finish()
    assert made.retrainer.waiting_seconds() == {}


async def test_a_deadline_begins_with_the_first_job_and_not_with_the_cycle(
    bench: MakeBench,
) -> None:
    """One process, whose first job hangs: the second symbol has its whole deadline after that."""
    process = asyncio.Semaphore(1)

    async def pool(job: TrainingJob) -> None:
        async with process:
            if job.symbol == "S00":
                await asyncio.Event().wait()

    made = bench(
        many(2),
        answer=pool,
        retrain_processes=1,
        retrain_target_seconds=1,
        retrain_deadline_seconds=1,
    )
    made.retrainer.tick()
    await made.finish()
    ended = made.events[-1]
    assert ended.state == "timed_out"
    assert ended.reasons == ("S00: not done in 1 s",)
    assert list(ended.versions) == ["S01"]


@pytest.mark.parametrize(("runs_s", "state"), [(60.0, "succeeded"), (101.0, "timed_out")])
async def test_a_process_that_starts_slowly_does_not_take_the_time_of_its_job(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, runs_s: float, state: str
) -> None:
    """The event loop's own clock goes on when the test says so."""
    loop, ahead = asyncio.get_running_loop(), 0.0
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + ahead)

    async def passes(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds
        for _ in range(10):
            await asyncio.sleep(0.001)

    ready, done = asyncio.Event(), asyncio.Event()
    made = bench(
        many(1), answer=lambda _: done.wait(), starts=ready.wait, retrain_deadline_seconds=100.0
    )
    made.retrainer.tick()
    while not made.jobs:
        await passes(0.0)
    await passes(60.0)
    ready.set()
    await passes(0.0)
    await passes(runs_s)
    done.set()
    await made.finish()
    assert made.events[-1].state == state


async def test_a_process_that_never_starts_does_not_hold_up_the_cycle(bench: MakeBench) -> None:
    made = bench(
        many(1),
        starts=asyncio.Event().wait,
        retrain_target_seconds=0.05,
        retrain_deadline_seconds=0.05,
    )
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].state == "timed_out"
    assert made.events[-1].reasons == ("S00: no training process was ready in 0.05 s",)


async def test_a_turn_that_has_begun_is_finished_though_the_target_has_passed(
    bench: MakeBench,
) -> None:
    made: Bench = bench(
        many(3), answer=taking(lambda: made, 30.0), retrain_processes=1, retrain_target_seconds=45
    )
    made.retrainer.tick()
    await made.finish()
    ended = made.events[-1]
    assert ended.state == "succeeded"
    assert ended.exceeded
    assert list(ended.versions) == ["S00"]
    assert list(ended.waiting_seconds) == ["S01", "S02"]


async def test_a_symbol_that_always_hangs_does_not_keep_the_others_from_their_turn(
    bench: MakeBench,
) -> None:
    async def hang(job: TrainingJob) -> None:
        made.clock.seconds += 0.001
        if job.symbol == "S00":
            made.clock.seconds += 60.0  # so the target of this cycle is over
            await asyncio.Event().wait()

    made: Bench = bench(
        many(3),
        answer=hang,
        retrain_processes=1,
        retrain_target_seconds=1,
        retrain_deadline_seconds=1,
        retrain_interval_hours=0.1,
    )
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].state == "timed_out"
    assert list(made.events[-1].waiting_seconds) == ["S01", "S02"]
    while len(ended(made)) < 7:
        made.retrainer.tick()
        await made.finish()
        made.clock.seconds += 30
    told = [(event.symbols, event.state) for event in ended(made)[1:]]
    one_round = [
        (("S01",), "succeeded"),
        (("S02",), "succeeded"),
        (("S00",), "timed_out"),
    ]
    assert told[:6] == one_round * 2


async def test_the_symbol_with_the_oldest_models_goes_first_and_before_it_one_without(
    bench: MakeBench,
) -> None:
    given = many(4)
    made = bench(given)
    for name, version in (
        ("S00", "20251231T120000Z-00000000"),
        ("S01", "20251231T110000Z-00000000"),
        ("S03", "20251231T115900Z-00000000"),
    ):
        given[name].models = model_set(version=version)
    due = made.retrainer.due()
    assert due is not None
    assert [item.symbol for item in due.pipelines] == ["S02", "S01", "S03", "S00"]


async def test_turns_come_even_if_no_training_fits_the_target(bench: MakeBench) -> None:
    made: Bench = bench(many(2), answer=taking(lambda: made, 60.0), retrain_processes=1)
    await pass_by(made, 2 * 3600)
    counts = [len(times) for times in turns(made).values()]
    assert len(counts) == 2
    assert min(counts) >= 2
    assert max(counts) - min(counts) <= 1


async def test_a_symbol_that_goes_before_its_planned_turn_has_no_event(bench: MakeBench) -> None:
    given = many(3)
    made: Bench = bench(given, answer=taking(lambda: made, 30.0), retrain_processes=1)
    made.retrainer.tick()
    await made.finish()
    assert len(made.events) == 2
    due = made.retrainer.due()
    assert due is not None
    assert due.plan is not None
    del given[due.pipelines[0].name]
    await made.retrainer.run_cycle(due, asyncio.Event())
    assert len(made.events) == 2


async def test_the_workers_end_is_told_of_each_turn_of_a_plan(bench: MakeBench) -> None:
    async def hang(job: TrainingJob) -> None:
        made.clock.seconds += 30.0
        if job.symbol != "S00":
            await asyncio.Event().wait()

    made: Bench = bench(many(3), answer=hang)
    made.retrainer.tick()
    while not ended(made):
        await asyncio.sleep(0.001)
    while len(made.jobs) < 8:
        made.retrainer.tick()
        await asyncio.sleep(0.001)
    await made.retrainer.stop()
    last = made.events[-1]
    assert (last.symbols, last.reasons) == (("S01",), ("the worker was stopped",))
    assert last.plan["symbols"] == 3


async def test_a_symbol_that_has_gone_has_no_turn_and_does_not_wait(bench: MakeBench) -> None:
    given = many(3)

    def goes(_job: TrainingJob) -> None:
        given.pop("S02", None)

    made = bench(given, answer=goes, retrain_processes=1)
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].symbols == ("S00", "S01")
    assert made.events[-1].waiting_seconds == {}
    made.retrainer.tick()
    assert made.retrainer.waiting_seconds() == {}


async def test_turns_that_were_over_when_the_worker_ended_keep_their_versions(
    bench: MakeBench, tmp_path: Path
) -> None:
    async def second_hangs(job: TrainingJob) -> None:
        if job.symbol == "S01":
            await asyncio.Event().wait()

    given = many(4)
    made = bench(given, answer=second_hangs, retrain_processes=1)
    made.retrainer.tick()
    while not given["S00"].models.is_trained or len(made.jobs) < 8:
        await asyncio.sleep(0.001)
    await made.retrainer.stop()
    ended = made.events[-1]
    assert ended.state == "failed"
    assert ended.reasons == ("the worker was stopped",)
    assert ended.versions == {"S00": given["S00"].models.version}
    assert (tmp_path / "models" / "S00" / ended.versions["S00"]).is_dir()
    assert ended.symbols == ("S00", "S01")
    assert list(ended.waiting_seconds) == ["S02", "S03"]


async def test_jobs_are_given_to_the_pool_one_symbol_ahead_and_no_more(bench: MakeBench) -> None:
    """Two processes: the next symbol's jobs come when one of them would be idle."""
    gates: dict[tuple[str, str], asyncio.Event] = defaultdict(asyncio.Event)
    made = bench(many(3), answer=lambda job: gates[job.symbol, job.model].wait())
    made.retrainer.tick()

    async def given(count: int) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(made.jobs) == count

    await given(4)
    for model in ("random_forest", "lightgbm"):
        gates["S00", model].set()
        await given(4)
    gates["S00", "kalman"].set()
    await given(8)
    for name, job in itertools.product(made.symbols, ("lstm", "random_forest", "lightgbm")):
        gates[name, job].set()
    for name in made.symbols:
        gates[name, "kalman"].set()
    await made.finish()
    assert len(made.jobs) == 12


async def test_a_job_that_cannot_be_made_fails_its_symbol_and_holds_up_nothing(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def broken(*args: Any, **kwargs: Any) -> TrainedModel:
        raise RuntimeError("no job")

    monkeypatch.setattr("stream_app.training.turn.TrainingJob", broken)
    made = bench(many(2))
    made.retrainer.tick()
    await asyncio.wait_for(made.finish(), 60)
    assert made.events[-1].reasons == ("S00: RuntimeError: no job", "S01: RuntimeError: no job")
