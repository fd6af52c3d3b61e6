"""A partition that waits for a history holds up no other, and loses nothing when stopped."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from stream_app.worker.ledger import Batch
from stream_app.worker.settling import Settling

TICKS = TP("market.ticks.v1", 3)


class Places:
    """Where the history of one symbol is brought from, when the test says so."""

    def __init__(self) -> None:
        self.may_come = asyncio.Event()
        self.error: BaseException | None = None
        self.is_there = False
        self.began = 0

    def install(self, *_: Any) -> object | None:
        return None if self.is_there else object()

    async def bring(self, *_: Any) -> None:
        self.began += 1
        await self.may_come.wait()
        if self.error is not None:
            raise self.error
        self.is_there = True


class Around:
    """The consumer, and the end of the process."""

    def __init__(self) -> None:
        self.places = Places()
        self.held: list[Batch] = []
        self.released: list[int] = []
        self.failures: list[BaseException] = []
        places: Any = self.places
        log: Any = None
        self.settling = Settling(
            places,
            log_of=lambda _: log,
            hold=self.held.append,
            release=self.released.append,
            fail=self.failures.append,
        )

    def may_answer(self, batch: Batch) -> bool:
        nothing: Any = None
        return self.settling.may_answer(nothing, batch, nothing)


def batch() -> Batch:
    record: Any = SimpleNamespace(offset=7)
    return Batch(TICKS, (record,), read_from=7)


async def a_while() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_partition_is_held_until_the_history_is_there() -> None:
    around, given = Around(), batch()
    assert not around.may_answer(given)
    await a_while()
    assert around.held == [given]
    assert around.released == []
    around.places.may_come.set()
    await a_while()
    assert around.released == [3]
    assert around.may_answer(batch())
    assert (around.held, around.failures) == ([given], [])


async def test_what_is_stopped_is_released_and_begins_again() -> None:
    around = Around()
    assert not around.may_answer(batch())
    await a_while()
    around.settling.stop()
    await a_while()
    assert around.released == [3]
    assert not around.may_answer(batch())
    await a_while()
    assert around.places.began == 2
    around.places.may_come.set()
    await a_while()
    assert around.released == [3, 3]
    assert around.may_answer(batch())
    assert around.failures == []


@pytest.mark.parametrize("error", [ValueError("no such thing"), RuntimeError("no")])
async def test_an_error_that_does_not_pass_ends_the_process(error: Exception) -> None:
    around = Around()
    around.places.error = error
    around.places.may_come.set()
    assert not around.may_answer(batch())
    await a_while()
    assert around.failures == [error]
