"""What would give a symbol a second turn while one is running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stream_app.bars.features import BarColumns
from stream_app.models.catalog import LSTM
from stream_app.training.job import TrainingJob
from tests.unit.training.conftest import Bench
from tests.unit.training.test_many_symbols import ended, many, pass_by

MakeBench = Callable[..., Bench]


class Held:
    """The LSTM of one symbol waits, once it is held; the others take 1 s by the fake clock."""

    def __init__(self) -> None:
        self.made: Bench
        self.symbol = ""
        self.goes_on = asyncio.Event()

    async def answer(self, job: TrainingJob) -> None:
        self.made.clock.seconds += 0.25
        if (job.symbol, job.model) == (self.symbol, LSTM):
            await self.goes_on.wait()

    async def begins(self) -> None:
        """Go on until the held symbol's turn is running."""
        before = len(self.made.jobs)
        while not [job for job in self.made.jobs[before:] if job.symbol == self.symbol]:
            self.made.clock.seconds += 1.0
            self.made.retrainer.tick()
            await asyncio.sleep(0)

    def jobs(self) -> int:
        return sum(job.symbol == self.symbol for job in self.made.jobs)


@pytest.fixture
async def held(bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> Held:
    """A worker with a plan, of whose twelve symbols one is being trained."""
    found = Held()
    made = found.made = bench(
        many(12), answer=found.answer, retrain_target_seconds=4.5, drift_retrain_min_seconds=60.0
    )
    monkeypatch.setattr("stream_app.training.cycle_news.LAST_WORD_S", 0.01)
    await pass_by(made, 40)
    assert made.retrainer.plan() is not None
    await made.finish()
    found.symbol = "S05"
    await found.begins()
    return found


async def look_on(held: Held) -> int:
    """Let the timer look for a while; how many jobs the held symbol has."""
    for _ in range(100):
        held.made.retrainer.tick()
        await asyncio.sleep(0)
    return held.jobs()


async def test_an_alarm_while_its_symbol_is_trained_begins_no_second_turn(held: Held) -> None:
    before = held.jobs()
    assert not held.made.retrainer.ask("S05")
    assert await look_on(held) == before
    held.goes_on.set()
    await held.made.finish()
    held.made.retrainer.tick()
    await held.made.finish()
    assert held.jobs() == before
    assert held.made.retrainer.ask("S05")  # the one that was refused does not count
    await held.made.retrainer.stop()


async def test_a_window_that_grows_while_its_symbol_is_trained_waits_for_its_end(
    held: Held,
) -> None:
    before = held.jobs()
    held.made.retrainer._schedule._bars["S05"] = 100  # of 250
    assert await look_on(held) == before
    held.goes_on.set()
    while held.jobs() == before:
        held.made.retrainer.tick()
        await asyncio.sleep(0)
    await held.made.finish()
    mine = [event for event in ended(held.made) if event.symbols == ("S05",)]
    assert [event.trigger for event in mine[-2:]] == ["scheduled", "growth"]


async def test_a_symbol_that_goes_and_comes_back_while_it_is_trained_has_no_second_turn(
    held: Held,
) -> None:
    before, symbols = held.jobs(), held.made.retrainer._symbols()
    gone = symbols.pop("S05")  # type: ignore[attr-defined]
    await look_on(held)
    symbols["S05"] = gone  # type: ignore[index]
    assert await look_on(held) == before
    held.goes_on.set()
    await held.made.finish()


async def test_a_round_that_comes_while_a_symbol_is_trained_follows_its_turn(
    bench: MakeBench,
) -> None:
    goes_on = asyncio.Event()

    async def wait(_: TrainingJob) -> None:
        await goes_on.wait()

    made = bench(many(1), answer=wait, retrain_interval_hours=0.01)
    made.retrainer.tick()
    while len(made.jobs) < 4:
        await asyncio.sleep(0)
    made.clock.seconds += 36.0
    made.retrainer.tick()
    assert made.retrainer.waiting_seconds() == {}
    goes_on.set()
    await made.finish()
    made.retrainer.tick()
    await made.finish()
    assert [event.trigger for event in ended(made)] == ["initial", "scheduled"]


async def test_a_turn_that_is_broken_off_before_it_begins_is_over(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(many(1))

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault of the program")

    with monkeypatch.context() as patch:
        patch.setattr(made.retrainer._trainer, "turn", broken)
        made.retrainer.tick()
        while made.retrainer.is_running:
            await asyncio.sleep(0)
    made.clock.seconds += 3600.0
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].state == "succeeded"
    assert made.retrainer.ask("S00")


def test_a_skipped_symbol_has_no_turn_that_runs_on(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def still(_bars: BarColumns, _: object) -> bool:
        return False

    async def go() -> bool:
        made = bench(many(1))
        made.retrainer.tick()
        await made.finish()
        assert list(made.events[-1].skipped) == ["S00"]
        return made.retrainer.ask("S00")

    monkeypatch.setattr("stream_app.training.cycle.price_moves", still)
    assert asyncio.run(go())


async def test_a_turn_that_hangs_holds_up_no_other_of_its_plan(held: Held) -> None:
    """Its job has one process; the other is free."""
    await held.made.retrainer._trainer.free_process()
    await look_on(held)  # nothing else is due by now
    before = {event.cycle for event in held.made.events}
    held.made.clock.seconds += 3600.0
    async with asyncio.timeout(10):
        while len({event.cycle for event in held.made.events} - before) < 5:
            held.made.retrainer.tick()
            await asyncio.sleep(0.01)
    held.goes_on.set()
    await held.made.finish()
