"""What nobody waits for yields to what somebody waits for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from stream_app.kafka.topic_check import load_topics
from stream_app.kafka.topic_ids import KnownTopic
from stream_app.recovery.log_access import LogAccess, Readers
from stream_app.recovery.pauses import REST
from stream_app.recovery.replica import Log, Replica
from stream_app.recovery.standbys import Standbys
from tests.builders import settings


class Filled:
    """A replica whose bars are read."""

    is_settled = True
    has_models = False
    pipeline = SimpleNamespace(symbols={"A": SimpleNamespace(name="A")})
    is_warm = Replica.is_warm


class Around:
    """A worker that follows partition 3, and how long it has slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        chosen = settings()
        self.is_busy = False
        self.slept: list[float] = []
        self.have_models = True
        self.warmed = 0
        replica: Any = Filled()
        self.replica = replica
        self.standbys = Standbys(
            LogAccess(
                settings=chosen,
                topics=load_topics(chosen.topics_file),
                readers=Readers({}),
                on_progress=lambda: None,
            ),
            new_replica=self._none,
            have_models=lambda symbols: (
                [each.name for each in symbols] == ["A"] and self.have_models
            ),
            is_busy=lambda: self.is_busy,
            on_warm=self._note_warm,
        )
        self.standbys._replicas[3] = self.replica
        sleep = asyncio.sleep

        async def noted(delay_s: float) -> None:
            self.slept.append(delay_s)
            await sleep(0)

        monkeypatch.setattr(asyncio, "sleep", noted)

    def _note_warm(self) -> None:
        self.warmed += 1

    @staticmethod
    def _none(_committed: int, _of: Log) -> Any:
        raise AssertionError("nothing is followed again")

    async def rests(self) -> bool:
        return await self.standbys._rests.rest(lambda: self.standbys._follows(3, self.replica))


async def test_it_rests_for_a_share_of_the_time_that_it_has_worked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    around = Around(monkeypatch)
    now_s = 5.0
    monkeypatch.setattr(time, "thread_time", lambda: now_s)
    around.standbys._rests._worked_s = 4.75
    assert await around.rests()
    assert around.slept == [REST * 0.25]
    now_s = 5.125
    assert await around.rests()
    assert around.slept == [REST * 0.25, REST * 0.125]


async def test_it_stands_still_while_ticks_wait_for_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    around = Around(monkeypatch)
    around.is_busy = True
    waiting = asyncio.create_task(around.rests())
    while len(around.slept) < 5:
        await asyncio.wait([waiting], timeout=0)
    assert not waiting.done()
    around.is_busy = False
    assert await waiting


async def test_what_has_to_be_answered_now_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one that takes it over waits until it is given free, while the worker is busy."""
    around = Around(monkeypatch)
    around.is_busy = True
    waiting = asyncio.create_task(around.rests())
    while not around.slept:
        await asyncio.wait([waiting], timeout=0)
    monkeypatch.setattr(around.standbys, "_note_warm", lambda: None)
    assert around.standbys.release(3) is around.replica
    assert not await waiting, "it reads no further"


def test_a_partition_whose_bars_are_here_is_warm_once_its_models_are_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Or a worker with an empty disk would be given it, and answer by one model of four."""
    around = Around(monkeypatch)
    around.have_models = False
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            around.standbys._note_settled(3, around.replica)
    assert (around.standbys.warm, around.warmed) == (frozenset(), 0)
    assert list(around.standbys.symbols()) == ["A"], "its models are looked for"
    assert caplog.text.count("partition 3: its bars are here, it waits for its models") == 1
    around.have_models = True
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            around.standbys._note_settled(3, around.replica)
    assert (around.standbys.warm, around.warmed) == (frozenset({3}), 1)
    assert caplog.text.count("partition 3: stands by with 1 symbols") == 1


def test_a_first_training_elsewhere_makes_it_wait_again(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Around(monkeypatch)
    around.standbys._note_settled(3, around.replica)
    around.have_models = False
    around.standbys._note_settled(3, around.replica)
    assert around.standbys.warm == frozenset()


class Broker:
    """Away now and then: what it does, one attempt to connect or look after the other."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.is_done = asyncio.Event()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        yield self

    async def known_topic(self) -> KnownTopic:
        if not self.answers:
            self.is_done.set()
            await asyncio.Event().wait()
        if not self.answers.pop(0):
            raise KafkaConnectionError("away")
        return KnownTopic(topic_id="ONE", partitions=4)

    async def places(self, *_: Any) -> dict[int, Any]:
        return {}

    async def prepare(self) -> None:
        """Nothing is connected."""


async def test_each_outage_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    around = Around(monkeypatch)
    broker = Broker(False, False, True, False, False, True)
    access: Any = SimpleNamespace(
        group=broker.one,
        readers=broker,
        topics=SimpleNamespace(bars=SimpleNamespace(name="bars")),
    )
    around.standbys._access = access
    around.standbys.follow([3])
    running = asyncio.create_task(around.standbys.run())
    await broker.is_done.wait()
    running.cancel()
    assert len(caplog.records) == 2
