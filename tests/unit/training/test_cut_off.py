"""What is told of cycles that do not come to their own end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stream_app.messages.schemas import RetrainEvent
from stream_app.models.catalog import LSTM
from stream_app.training.job import TrainingJob
from stream_app.training.standing import BROKE_OFF, STOPPED
from tests.unit.training.conftest import Bench
from tests.unit.training.test_many_symbols import many, pass_by, taking

MakeBench = Callable[..., Bench]


def states(made: Bench) -> list[str]:
    return [event.state for event in made.events]


async def steps(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_worker_that_ends_while_the_start_is_told_says_that_it_was_stopped(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(many(2))

    async def publish(event: RetrainEvent) -> None:
        made.events.append(event)
        if event.state == "started":
            await asyncio.Event().wait()

    monkeypatch.setattr(made, "publish", publish)
    made.retrainer.tick()
    await steps()
    await made.retrainer.stop()
    assert states(made) == ["started", "failed"]
    last = made.events[-1]
    assert (last.symbols, last.reasons) == ((), (STOPPED,))
    assert set(last.waiting_seconds) == {"S00", "S01"}
    assert last.cycle == made.events[0].cycle


async def test_a_planned_cycle_that_ends_with_the_worker_before_its_turn_has_no_event(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Bench = bench(many(3), answer=taking(lambda: made, 30.0), retrain_processes=1)
    made.retrainer.tick()
    await made.finish()
    due = made.retrainer.due()
    assert due is not None
    assert due.plan is not None
    before = len(made.events)
    monkeypatch.setattr(made.retrainer._trainer, "free_process", asyncio.Event().wait)
    cycle = asyncio.create_task(made.retrainer.run_cycle(due, asyncio.Event()))
    await steps()
    await made.retrainer.stop()
    cycle.cancel()
    await asyncio.gather(cycle, return_exceptions=True)
    assert len(made.events) == before


async def test_an_end_that_is_being_told_when_the_worker_ends_is_told_once(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(many(1))
    acknowledges = asyncio.Event()

    async def publish(event: RetrainEvent) -> None:
        if event.state != "started":
            await acknowledges.wait()
        made.events.append(event)

    monkeypatch.setattr(made, "publish", publish)
    made.retrainer.tick()
    while not made.retrainer.training_history:
        await asyncio.sleep(0.001)
    stopping = asyncio.create_task(made.retrainer.stop())
    await steps()
    acknowledges.set()
    await stopping
    assert states(made) == ["started", "succeeded"]


async def test_a_fault_of_the_program_ends_a_cycle_with_an_event(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = many(3)
    made = bench(given, retrain_processes=1)
    right = made.retrainer._trainer.turn

    async def turn(symbol: str, *rest: object) -> object:
        if symbol == "S01":
            while not given["S00"].models.is_trained:
                await asyncio.sleep(0.001)
            await steps()
            raise ZeroDivisionError("a fault")
        return await right(symbol, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(made.retrainer._trainer, "turn", turn)
    counted: list[RetrainEvent] = []
    monkeypatch.setattr(
        "stream_app.training.cycle_news.count_cycle", lambda event, **_: counted.append(event)
    )
    made.retrainer.tick()
    await made.finish()
    assert states(made) == ["started", "failed"]
    last = made.events[-1]
    assert list(last.versions) == ["S00"]
    assert last.reasons == ("S01: ZeroDivisionError: a fault", BROKE_OFF)
    assert counted == [last]
    assert f"the old models keep serving: {BROKE_OFF}" in caplog.text
    assert made.retrainer.training_history[-1] is last


async def test_turns_that_a_fault_elsewhere_ends_do_not_say_that_the_worker_was_stopped(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = asyncio.Event()

    async def lstm_hangs(job: TrainingJob) -> None:
        made.clock.seconds += 2.5
        if job.model == LSTM and goes_on.is_set():
            await asyncio.Event().wait()

    made: Bench = bench(many(3), answer=lstm_hangs, retrain_target_seconds=10.0)
    await pass_by(made, 60)
    await made.finish()
    assert made.retrainer.plan() is not None
    goes_on.set()
    right, before = made.retrainer._trainer.turn, len(made.events)

    async def turn(symbol: str, *rest: object) -> object:
        if len(made.retrainer._urgency._turns) > 1:
            raise ZeroDivisionError("a fault")
        return await right(symbol, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(made.retrainer._trainer, "turn", turn)
    made.clock.seconds += 7200.0  # all are due
    made.retrainer.tick()
    while len(made.events) < before + 2:
        await asyncio.sleep(0.001)
    await made.finish()
    told = made.events[before : before + 2]
    assert {event.state for event in told} == {"failed"}
    assert all(BROKE_OFF in event.reasons and STOPPED not in event.reasons for event in told)
