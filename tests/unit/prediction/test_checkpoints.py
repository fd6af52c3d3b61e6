"""What a restart must read does not grow with a symbol's silence."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from stream_app.messages.schemas import Bar, Tick
from stream_app.prediction.origin import Origin
from stream_app.prediction.pipeline import CHECKPOINT_AFTER, PartitionPipeline
from stream_app.prediction.settings import PredictionSettings
from stream_app.prediction.symbol import SymbolPipeline
from tests.builders import START_MS, records, settings, walk

SETTINGS = settings(lstm_sequence_length=8, min_training_bars=1000)


def run(silent_ticks: int) -> tuple[PartitionPipeline, list[Bar]]:
    """A symbol that falls silent, beside one that goes on for long."""
    once = [
        Tick(symbol="ONCE", price=5.0 + number, ts=START_MS + 40_000 * number)
        for number in range(silent_ticks)
    ]
    stream = records([*once, *walk(CHECKPOINT_AFTER + 3000, symbol="A", step_ms=500)])
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    bars = [
        bar
        for at in range(0, len(stream), 500)
        for bar in partition.process(stream[at : at + 500]).bars
    ]
    return partition, bars


def test_a_symbol_silent_after_some_bars_does_not_hold_the_floor() -> None:
    partition, bars = run(silent_ticks=4)
    assert partition.floor() > CHECKPOINT_AFTER
    last = [bar for bar in bars if bar.symbol == "ONCE"][-1]
    assert last.source.offset > CHECKPOINT_AFTER
    assert last.ticks == 2
    assert last.close == 6.0


def test_a_symbol_silent_within_its_first_bar_does_not_hold_it_either() -> None:
    partition, bars = run(silent_ticks=1)
    assert partition.floor() > CHECKPOINT_AFTER
    (carrier,) = [bar for bar in bars if bar.symbol == "ONCE"]
    assert carrier.ticks == 0
    assert carrier.close is None
    restarted = PartitionPipeline(PredictionSettings.of(SETTINGS)).pipeline_of("ONCE")
    restarted.recall([carrier])
    restarted.resume(carrier, None, origin=Origin())
    assert len(restarted.window) == 0
    assert restarted.window.state() == partition.symbols["ONCE"].window.state()
    assert restarted.kalman.to_state() == partition.symbols["ONCE"].kalman.to_state()


def test_the_first_batch_is_covered_from_its_first_offset_on() -> None:
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    bars = partition.process(records(walk(40))).bars
    assert bars
    assert {bar.state["floor"] for bar in bars} == {0}


def test_the_floor_is_the_oldest_tick_that_no_state_covers() -> None:
    rng = np.random.default_rng(5)
    names = [f"S{number}" for number in range(12)]
    # Some are frequent, some rare: bars close, symbols fall silent and come again.
    ticks = [
        Tick(symbol=names[rng.integers(rng.integers(1, 13))], price=5.0, ts=START_MS + 1500 * at)
        for at in range(4000)
    ]
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    stream = records(ticks)
    floors = []
    while stream:
        size = int(rng.integers(1, 60))
        partition.process(stream[:size])
        stream = stream[size:]
        oldest = [symbol.first_uncovered for symbol in partition.symbols.values()]
        expected = min((at for at in oldest if at is not None), default=partition.position)
        assert partition.floor() == expected
        floors.append(expected)
    assert floors == sorted(floors)
    assert len(set(floors)) > 30


class Untouched:
    """Fails when anything is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a silent symbol's {name} was asked for")


def test_a_batch_asks_nothing_of_the_symbols_that_it_holds_no_tick_of() -> None:
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    silent = [Tick(symbol=f"S{number}", price=5.0, ts=START_MS) for number in range(100)]
    stream = records([*silent, *walk(50, symbol="A", step_ms=500)])
    partition.process(stream[:100])
    for tick in silent[1:]:  # the first of them is the floor
        partition.symbols[tick.symbol] = cast(SymbolPipeline, Untouched())
    assert len(partition.process(stream[100:]).predictions) == 50


def test_a_hand_over_that_is_not_acknowledged_leaves_the_floor() -> None:
    frequent = list(walk(400, symbol="A", step_ms=5000))
    silent = list(walk(28, symbol="B", seed=2))
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    stream = records([*frequent[:40], *silent, *frequent[40:]])
    published = partition.process(stream[:68]).bars
    floor = partition.floor()
    uncovered = partition.symbols["B"].first_uncovered
    assert uncovered is not None
    assert floor <= uncovered

    states, moves = partition.handover("ticks")  # and the broker does not answer in time
    assert {bar.symbol for bar in states} == {"A", "B"}
    assert moves[0].state["floor"] == 68
    assert partition.floor() == floor

    published += partition.process(stream[68:]).bars
    assert published[-1].state["floor"] <= uncovered

    position = partition.position
    partition.handover("ticks")
    partition.note_handed_over(position)
    assert partition.floor() == position


def test_a_tick_that_is_answered_while_states_are_handed_over_stays_above_the_floor() -> None:
    """A batch that was in hand when the group changed; the partition may stay after all."""
    partition = PartitionPipeline(PredictionSettings.of(SETTINGS))
    stream = records(walk(40, step_ms=10))
    partition.process(stream[:39])
    position = partition.position
    partition.handover("ticks")
    partition.process(stream[39:])
    partition.note_handed_over(position)
    assert partition.floor() <= 39
