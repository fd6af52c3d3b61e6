"""More symbols than a cycle has time for: each gets its turn, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


async def cycles(made: Bench, count: int, *, apart_s: float) -> None:
    for _ in range(count):
        made.clock.seconds += apart_s
        made.retrainer.tick()
        await made.finish()


def turns(made: Bench) -> dict[str, list[int]]:
    """By symbol, the numbers of the cycles in which it was given new models."""
    found: dict[str, list[int]] = defaultdict(list)
    ended = [event for event in made.events if event.state != "started"]
    for number, event in enumerate(ended):
        for symbol in event.versions:
            found[symbol].append(number)
    return found


@pytest.mark.parametrize("apart_s", [3600.0, 30.0], ids=["hourly", "faster than they fit"])
async def test_of_sixty_symbols_every_one_is_trained_within_three_cycles_and_none_waits_long(
    bench: MakeBench, apart_s: float
) -> None:
    made: Bench = bench(
        many(60),
        answer=taking(lambda: made, 0.25),
        retrain_target_seconds=25,
        retrain_deadline_seconds=25,
        retrain_interval_hours=apart_s / 3600,
    )
    await cycles(made, 8, apart_s=apart_s)
    found = turns(made)
    ended = [event for event in made.events if event.state != "started"]
    assert len(ended) == 8
    assert len(found) == 60
    assert max(numbers[0] for numbers in found.values()) < 3
    waits = [
        later - earlier
        for numbers in found.values()
        for earlier, later in itertools.pairwise([*numbers, 8])
    ]
    gaps = [
        later - earlier
        for numbers in found.values()
        for earlier, later in itertools.pairwise(numbers)
    ]
    assert max(waits) < 2 * min(gaps)
    counts = [len(numbers) for numbers in found.values()]
    assert max(counts) < 2 * min(counts)
    for event in ended:
        assert event.state == "succeeded"
        assert event.lstm_included
        assert not event.exceeded
        assert len(event.symbols) >= 20
        assert set(event.versions) == set(event.symbols)


@pytest.mark.parametrize("apart_s", [3600.0, 30.0], ids=["hourly", "faster than they fit"])
@pytest.mark.parametrize("seed", range(3))
async def test_under_any_load_none_is_trained_again_before_all_others_were(
    bench: MakeBench, seed: int, apart_s: float
) -> None:
    """How many cycles it takes is how often the fewest that fitted go into all of them.

    A slower machine fits fewer, and takes more cycles; the order holds whatever a job takes.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable

    def busy(_job: TrainingJob) -> None:
        slowness = 1.0 + 3.0 * (int(made.clock.seconds) // 60 % 3 == 0)
        made.clock.seconds += slowness * rng.uniform(0.05, 0.45)

    made: Bench = bench(
        many(60),
        answer=busy,
        retrain_target_seconds=25,
        retrain_deadline_seconds=25,
        retrain_interval_hours=apart_s / 3600,
    )
    await cycles(made, 12, apart_s=apart_s)
    ended = [event for event in made.events if event.state != "started"]
    counts = dict.fromkeys(made.symbols, 0)
    for event in ended:
        for symbol in event.versions:
            counts[symbol] += 1
        assert max(counts.values()) - min(counts.values()) <= 1
    fewest = min(len(event.versions) for event in ended)
    first = max(numbers[0] for numbers in turns(made).values())
    assert first < math.ceil(60 / fewest)
    assert fewest < max(len(event.versions) for event in ended)  # the load did change


async def test_those_that_are_left_are_trained_at_once_and_not_an_hour_later(
    bench: MakeBench, caplog: pytest.LogCaptureFixture
) -> None:
    made: Bench = bench(
        many(36),
        answer=taking(lambda: made, 0.25),
        retrain_target_seconds=15,
        retrain_deadline_seconds=15,
    )
    await cycles(made, 10, apart_s=1.0)
    ended = [event for event in made.events if event.state != "started"]
    fit = len(ended[0].symbols)
    assert 12 <= fit < 18
    assert [event.trigger for event in ended] == ["initial"] * 3
    assert sorted(itertools.chain(*(event.symbols for event in ended))) == sorted(made.symbols)
    assert [len(event.waiting_seconds) for event in ended] == [36 - fit, 36 - 2 * fit, 0]
    assert set(made.events[2].symbols) == set(ended[0].waiting_seconds)
    assert made.retrainer.waiting_seconds() == {}
    wait_s = ended[1].waiting_seconds[made.events[2].symbols[-1]]
    assert wait_s == pytest.approx(ended[0].duration_seconds + 1 + ended[1].duration_seconds)
    said = f"{fit} of 36 symbols fit into a cycle of 15s; {36 - fit} wait for the next one, the "
    assert any(line.startswith(said) for line in caplog.messages)


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
    )
    await cycles(made, 1, apart_s=0)
    assert made.events[-1].state == "timed_out"
    assert list(made.events[-1].waiting_seconds) == ["S01", "S02"]
    for _ in range(2):
        await cycles(made, 1, apart_s=3600)
        assert made.events[-2].symbols == ("S01", "S02", "S00")
        assert set(made.events[-1].versions) == {"S01", "S02"}


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
    assert [item.symbol for item in due[1]] == ["S02", "S01", "S03", "S00"]


async def test_the_first_turn_comes_even_if_no_training_fits_the_target(bench: MakeBench) -> None:
    made: Bench = bench(many(2), answer=taking(lambda: made, 60.0), retrain_processes=1)
    await cycles(made, 4, apart_s=3600)
    assert {name: len(numbers) for name, numbers in turns(made).items()} == {"S00": 2, "S01": 2}


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
