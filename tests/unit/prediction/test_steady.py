"""A steady symbol is answered without a look at it, until anything changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from stream_app.messages.schemas import Prediction, Tick
from stream_app.prediction.entering import Entering
from stream_app.prediction.observation import DUPLICATE, HISTORY_LOST, LATE, MISPLACED
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from tests.builders import START_MS, records, settings, walk
from tests.fakes import model_set

SETTINGS = settings()
STEP_MS = 1000
BARS = 60


class Stream:
    """Symbols that have come for an hour and have models, and how many were looked at since."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, names: Iterable[str] = ("A",)) -> None:
        self.partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
        self.offset = 0
        for seed, name in enumerate(names):
            ticks = list(walk(60 * BARS + 30, symbol=name, seed=seed, step_ms=STEP_MS))
            self.last = ticks[-1]
            self.send(*ticks)
        for symbol in self.partition.symbols.values():
            symbol.models = model_set(version="v1", trained_to_ts=START_MS + BARS * 60_000)
        self.go_on()
        self.go_on()
        self.looked_at = 0
        self._count(monkeypatch)

    def _count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        begin: Callable[..., None] = Entering.__init__

        def counted(entering: Entering, *args: Any, **given: Any) -> None:
            self.looked_at += 1
            begin(entering, *args, **given)

        monkeypatch.setattr(Entering, "__init__", counted)

    def send(self, *ticks: Tick) -> list[Prediction]:
        batch = records(ticks, self.offset)
        self.offset += len(batch)
        return list(self.partition.process(batch).predictions)

    def go_on(self, **changed: Any) -> Prediction:
        """The next tick of A, a second later."""
        self.last = replace(self.last, symbol="A", ts=self.last.ts + STEP_MS, **changed)
        return self.send(self.last)[-1]


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    return Stream(monkeypatch)


def test_plain_ticks_need_no_look(stream: Stream) -> None:
    said = [stream.go_on() for _ in range(5)]
    assert stream.looked_at == 0
    assert all(each.degraded == () and len(each.members) == 4 for each in said)


def test_a_closed_bar_is_looked_at_and_then_nothing_is(stream: Stream) -> None:
    before = len(stream.partition.symbols["A"].window)
    for _ in range(60):
        stream.go_on()
    assert len(stream.partition.symbols["A"].window) == before + 1
    assert 1 <= stream.looked_at <= 4


@pytest.mark.parametrize("back_ms", [0, 10_000], ids=["duplicate", "late"])
def test_a_tick_that_is_not_plain_says_so(stream: Stream, back_ms: int) -> None:
    old = replace(stream.last, ts=stream.last.ts - back_ms)
    (said,) = stream.send(old)
    assert said.degraded == (LATE if back_ms else DUPLICATE,)
    assert stream.looked_at == 1


def test_a_duplicate_within_a_batch_is_found(stream: Stream) -> None:
    ticks = [replace(stream.last, ts=stream.last.ts + 100 * step) for step in (1, 2, 2, 3)]
    said = stream.send(*ticks)
    assert [each.degraded for each in said] == [(), (), (DUPLICATE,), ()]


def test_new_champions_take_over_at_the_next_tick(stream: Stream) -> None:
    stream.partition.symbols["A"].models = model_set(version="v2", trained_to_ts=stream.last.ts)
    assert stream.go_on().members["lstm"].version == "v2"
    assert stream.looked_at == 1


def test_a_symbol_that_does_not_belong_here_any_more_says_so(stream: Stream) -> None:
    stream.partition.place(lambda _: (5,), Origin())
    assert MISPLACED in stream.go_on().degraded


def test_lost_history_is_said(stream: Stream) -> None:
    stream.partition.lose_history()
    assert HISTORY_LOST in stream.go_on().degraded


def test_a_steady_symbol_beside_one_that_is_not_is_written_as_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone, beside = Stream(monkeypatch), Stream(monkeypatch, ("B", "A"))
    next_one = replace(alone.last, ts=alone.last.ts + STEP_MS)
    late = Tick(symbol="B", price=4.0, ts=START_MS)
    expected = alone.send(next_one)[0]
    answered = {each.symbol: each for each in beside.send(late, replace(next_one, symbol="A"))}
    assert answered["B"].degraded == (LATE,)
    assert answered["A"].degraded == expected.degraded == ()


def test_the_first_tick_of_a_steady_symbol_holds_the_floor(stream: Stream) -> None:
    first = stream.offset
    symbol = stream.partition.symbols["A"]
    symbol.first_uncovered = None
    stream.go_on()
    stream.go_on()
    assert symbol.first_uncovered == first
