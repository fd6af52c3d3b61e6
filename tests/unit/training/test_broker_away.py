"""Retrains while the broker is away: waiting for it is no training."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stream_app.messages.schemas import RetrainEvent
from stream_app.models.model_set import ModelSet
from stream_app.training.job import TrainingJob
from stream_app.training.priority import YIELDING
from tests.unit.training.conftest import Bench
from tests.unit.training.test_many_symbols import ended, many

MakeBench = Callable[..., Bench]


async def test_a_promotion_that_waits_for_the_broker_does_not_make_a_training_longer(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a plan would begin, and an alert say that the symbols need more time than there is."""

    def takes(_: TrainingJob) -> None:
        made.clock.seconds += 0.25

    made: Bench = bench(many(4), answer=takes)
    right = made.champions.promote
    niceness = []
    wait: list[str] = []

    async def promote(name: str, models: ModelSet) -> bool:
        wait.append(name)
        while len(wait) < 4:
            await asyncio.sleep(0.001)
        made.clock.seconds += 600.0
        niceness.append(made.retrainer.niceness())
        return await right(name, models)

    with monkeypatch.context() as patch:
        patch.setattr(made.champions, "promote", promote)
        made.retrainer.tick()
        await made.finish()
    assert ended(made)[-1].duration_seconds > 600.0
    assert niceness[-1] == YIELDING
    made.clock.seconds += 3600.0
    made.retrainer.tick()
    await made.finish()
    assert made.retrainer.plan() is None
    assert made.events[-1].waiting_seconds == {}
    assert made.events[-1].symbols == ("S00", "S01", "S02", "S03")


async def test_a_start_that_waits_for_the_broker_takes_no_time_from_the_turns(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench(many(3))
    right = made.publish

    async def publish(event: RetrainEvent) -> None:
        if event.state == "started":
            made.clock.seconds += 600.0
        await right(event)

    monkeypatch.setattr(made, "publish", publish)
    made.retrainer.tick()
    await made.finish()
    (last,) = ended(made)
    assert last.symbols == ("S00", "S01", "S02")
    assert last.waiting_seconds == {}
    assert last.duration_seconds >= 600.0
