"""What the plan of an interval promises, under a fake clock, whatever the trainings take."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.prediction.symbol import SymbolPipeline
from stream_app.training.plan import AIM, OLDEST
from stream_app.training.schedule import RetrainSchedule
from stream_app.training.settings import ScheduleSettings

INTERVAL_S = 300.0
TARGET_S = 5.0
MIN_BARS = 200


@dataclass
class Clock:
    seconds: float = 100_000.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Models:
    version: str = "untrained"
    trained_in_s: float = 0.0


@dataclass
class Symbol:
    """What a schedule sees of a symbol."""

    name: str
    made_s: float | None
    """When the training of its models began."""
    models: Models = field(default_factory=Models)
    window: range = range(MIN_BARS)
    has_news: bool = True


@dataclass(frozen=True)
class Turn:
    at_s: float
    name: str
    trigger: str
    is_planned: bool
    age_s: float | None
    """Of the models that the turn replaces, when the new ones serve."""


class World:
    """One pool that trains one symbol at a time, and a timer that looks each second."""

    def __init__(self, takes_s: Callable[[str], float]) -> None:
        self.clock = Clock()
        self.takes_s = takes_s
        self.symbols: dict[str, Symbol] = {}
        self.turns: list[Turn] = []
        self.restart()

    def restart(self) -> None:
        settings = ScheduleSettings(
            interval_s=INTERVAL_S,
            min_bars=MIN_BARS,
            early_every_s=60.0,
            target_s=TARGET_S,
            processes=2,
        )
        self.schedule = RetrainSchedule(settings, self.clock)

    def add(self, name: str, *, age_s: float | None = None) -> None:
        """A symbol whose models are so old; without an age it has none."""
        if age_s is None:
            self.symbols[name] = Symbol(name, None)
            return
        made_s = self.clock.seconds - age_s
        made = self.clock.now() - timedelta(seconds=age_s)
        models = Models(f"{made:%Y%m%dT%H%M%SZ}-00000000", 2 * self.takes_s(name))
        self.symbols[name] = Symbol(name, made_s, models)

    def run(self, seconds: float, each_second: Callable[[], None] = lambda: None) -> None:
        end_s = self.clock.seconds + seconds
        while self.clock.seconds < end_s:
            each_second()
            here = cast(dict[str, SymbolPipeline], self.symbols)
            due = self.schedule.due(here)
            began_s = self.clock.seconds
            if due is not None:
                for pipeline in due.pipelines:
                    if self.clock.seconds > began_s + TARGET_S:
                        break
                    self._turn(pipeline.name, due.trigger, is_planned=due.plan is not None)
            # The next look is at a whole second, as where nothing was due; a plan does not wait.
            if due is None or due.plan is None:
                self.clock.seconds = math.floor(self.clock.seconds) + 1.0

    def _turn(self, name: str, trigger: str, *, is_planned: bool) -> None:
        symbol, began_s = self.symbols[name], self.clock.seconds
        self.schedule.turn_begins(name, len(symbol.window))
        seconds = self.takes_s(name)
        self.clock.seconds += seconds
        self.schedule.turn_took(name, seconds)
        self.schedule.turn_ends(name)
        made_s = symbol.made_s
        age_s = None if made_s is None else self.clock.seconds - made_s
        self.turns.append(Turn(began_s, name, trigger, is_planned, age_s))
        symbol.made_s = began_s
        symbol.models = Models(f"{self.clock.now():%Y%m%dT%H%M%SZ}-00000000", 2 * seconds)

    def oldest_s(self) -> float:
        """The greatest age of models that ever served and that serve now."""
        ages = [turn.age_s for turn in self.turns if turn.age_s is not None]
        now = [self.clock.seconds - item.made_s for item in self.symbols.values() if item.made_s]
        return max([*ages, *now])


def names(count: int) -> list[str]:
    return [f"S{number:03d}" for number in range(count)]


def most_within(times: list[float], seconds: float) -> int:
    """The most times in any such span."""
    times = sorted(times)
    return max(
        sum(first <= other < first + seconds for other in times[at:])
        for at, first in enumerate(times)
    )


few = settings(max_examples=25)  # each goes through hours, second by second
counts = st.integers(8, 24)
loads = st.floats(0.1, 0.74)
"""The share of the interval that all trainings take: they fit if each takes as long as it may."""
seeds = st.integers(0, 2**32)


def varied(load: float, count: int, seed: int, spread: float = 0.3) -> Callable[[str], float]:
    """Trainings that take about so long that `count` of them take that share of the interval."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    mean_s = max(load * INTERVAL_S / count, 1.2 * TARGET_S / count)
    return lambda _: mean_s * rng.uniform(1 - spread, 1 + spread)


@few
@given(count=counts, load=loads, seed=seeds, same=st.booleans(), oldest=st.floats(0, 1))
def test_no_models_get_older_than_two_intervals_while_the_symbols_fit(
    count: int, load: float, seed: int, same: bool, oldest: float
) -> None:
    rng = random.Random(seed)  # noqa: S311 - repeatable
    world = World(varied(load, count, seed))
    for name in names(count):
        world.add(name, age_s=oldest * INTERVAL_S * (1.0 if same else rng.random()))
    world.run(3 * INTERVAL_S)
    assert world.oldest_s() <= OLDEST * INTERVAL_S
    assert {turn.name for turn in world.turns} == set(names(count))
    plan = world.schedule.plan()
    assert plan is not None
    assert plan.is_feasible


@few
@given(count=counts, seed=seeds, age=st.floats(1.1, 1.6))
def test_after_an_outage_the_pace_goes_up_as_far_as_the_deadlines_need(
    count: int, seed: int, age: float
) -> None:
    load = 0.7 * (AIM - age)
    world = World(varied(load, count, seed))
    for name in names(count):
        world.add(name, age_s=age * INTERVAL_S)
    world.run(1.5 * INTERVAL_S)
    assert world.oldest_s() <= OLDEST * INTERVAL_S
    first_round = [turn.at_s for turn in world.turns[:count]]
    # No burst: only as fast as needed.
    assert first_round[-1] - first_round[0] >= 0.6 * (AIM - age) * INTERVAL_S * (1 - 2 / count)


@few
@given(count=counts, load=st.floats(0.1, 2.5), seed=seeds, oldest=st.floats(0, 3))
def test_the_oldest_goes_first_and_none_twice_before_all_others(
    count: int, load: float, seed: int, oldest: float
) -> None:
    rng = random.Random(seed)  # noqa: S311 - repeatable
    world = World(varied(load, count, seed))
    for name in names(count):
        world.add(name, age_s=oldest * INTERVAL_S * rng.random())
    order = [
        item.name for item in sorted(world.symbols.values(), key=lambda item: item.models.version)
    ]
    by_version = {item.name: item.models.version for item in world.symbols.values()}
    world.run(2.5 * max(1.0, load) * INTERVAL_S)
    first = [turn.name for turn in world.turns[:count]]
    assert sorted(first) == sorted(order)
    assert [by_version[name] for name in first] == [by_version[name] for name in order]
    for at in range(0, len(world.turns) - count, count):
        again = [turn.name for turn in world.turns[at + count : at + 2 * count]]
        assert again == first[: len(again)]
    assert all(turn.is_planned and turn.trigger == "scheduled" for turn in world.turns)


@few
@given(count=counts, load=st.floats(0.1, 0.8), seed=seeds, age=st.floats(0, 0.5))
def test_a_restart_with_models_of_one_age_trains_evenly_from_the_start(
    count: int, load: float, seed: int, age: float
) -> None:
    takes_s = varied(load, count, seed)
    world = World(takes_s)
    for name in names(count):
        world.add(name, age_s=age * INTERVAL_S)
    start_s = world.clock.seconds
    world.run(2 * INTERVAL_S)
    step_s = INTERVAL_S / count
    times = [turn.at_s for turn in world.turns]
    assert len(times) == pytest.approx(2 * count, abs=2)
    for number, at_s in enumerate(times, 1):
        # At its own moment, or at most so late as the turn before it and the timer's second let it.
        late_s = at_s - start_s - number * step_s
        assert -1e-6 <= late_s <= 1.3 * 1.3 * load * step_s + 1.2 * TARGET_S / count + 2
    assert most_within(times, INTERVAL_S / 4) <= math.ceil(count / 4) + 2


@few
@given(count=counts, load=st.floats(1.1, 3.0), seed=seeds)
def test_a_plan_that_does_not_fit_says_how_many_do_and_starves_none(
    count: int, load: float, seed: int
) -> None:
    world = World(varied(load, count, seed))
    for name in names(count):
        world.add(name, age_s=60.0)
    world.run(1.0)
    plan = world.schedule.plan()
    assert plan is not None  # by how long the models that serve took to train
    assert not plan.is_feasible
    assert count / load / 1.3 - 1 <= plan.fit <= count / load / 0.7
    world.run(4 * load * INTERVAL_S)
    round_s = load * INTERVAL_S
    assert world.oldest_s() <= 60.0 + 1.5 * round_s
    last = [turn.name for turn in world.turns if turn.at_s > world.clock.seconds - 1.5 * round_s]
    assert set(last) == set(names(count))


@few
@given(count=counts, load=st.floats(0.2, 0.6), seed=seeds, factor=st.floats(0.5, 1.6))
def test_trainings_that_come_to_take_longer_or_shorter_do_not_matter_while_they_fit(
    count: int, load: float, seed: int, factor: float
) -> None:
    slowness = 1.0
    usual = varied(load, count, seed)
    world = World(lambda name: slowness * usual(name))
    for name in names(count):
        world.add(name, age_s=300.0)
    world.run(1.5 * INTERVAL_S)
    slowness = factor
    world.run(2 * INTERVAL_S)
    assert world.oldest_s() <= OLDEST * INTERVAL_S


@few
@given(
    count=counts,
    load=loads,
    seed=seeds,
    restarts=st.lists(st.integers(25, 250), max_size=4),
)
def test_restarts_neither_starve_nor_burst(
    count: int, load: float, seed: int, restarts: list[int]
) -> None:
    world = World(varied(load, count, seed))
    for name in names(count):
        world.add(name, age_s=0.0)
    for seconds in (*restarts, 3 * INTERVAL_S):
        world.run(seconds)
        world.restart()
    assert world.oldest_s() <= OLDEST * INTERVAL_S
    times = [turn.at_s for turn in world.turns]
    assert most_within(times, INTERVAL_S / 4) <= math.ceil(count / 4 * OLDEST) + 2


@few
@given(count=counts, load=loads, seed=seeds, every_s=st.integers(1, 120))
def test_new_symbols_go_first_and_starve_none_however_many_come(
    count: int, load: float, seed: int, every_s: int
) -> None:
    """Each leaves when it is trained, and another comes: there is always one without models."""
    world = World(varied(load, count + 2, seed, spread=0.0))
    for name in names(count):
        world.add(name, age_s=INTERVAL_S / 2)
    numbers = itertools.count()
    second = itertools.count()

    def come_and_go() -> None:
        trained = [item.name for item in world.symbols.values() if item.name.startswith("N")]
        for name in trained:
            if world.symbols[name].made_s is not None:
                del world.symbols[name]
        if next(second) % every_s == 0 and sum(each.startswith("N") for each in world.symbols) < 2:
            world.add(f"N{next(numbers)}")

    world.run(3 * INTERVAL_S, come_and_go)
    planned = {item for item in world.symbols if item.startswith("S")}
    ages = [turn.age_s for turn in world.turns if turn.name in planned and turn.age_s is not None]
    ages += [world.clock.seconds - (world.symbols[name].made_s or 0.0) for name in planned]
    assert max(ages) <= OLDEST * INTERVAL_S
    assert any(turn.trigger == "initial" for turn in world.turns)


@few
@given(count=counts, more=st.integers(1, 24), load=loads, seed=seeds)
def test_many_that_come_at_once_are_trained_first_and_then_join_the_others(
    count: int, more: int, load: float, seed: int
) -> None:
    total = count + more
    world = World(varied(load, total, seed))
    for name in names(count):
        world.add(name, age_s=INTERVAL_S / 2)
    world.run(INTERVAL_S / 3)
    before = len(world.turns)
    came_s = world.clock.seconds
    for name in names(total)[count:]:
        world.add(name)
    world.run(3 * INTERVAL_S)
    assert world.oldest_s() <= OLDEST * INTERVAL_S
    new = set(names(total)[count:])
    initial = [turn for turn in world.turns[before:] if turn.trigger == "initial"]
    assert {turn.name for turn in initial} >= new
    if load <= 0.35:  # no deadline is near
        mean_s = max(load * INTERVAL_S, 1.2 * TARGET_S) / total
        last_s = max(turn.at_s for turn in initial) - came_s
        assert last_s <= (more + 2) * 1.3 * mean_s + 2
    gone = names(total)[: total // 2]
    for name in gone:
        del world.symbols[name]
    world.run(2 * INTERVAL_S)
    left = set(world.symbols)
    assert {
        turn.name for turn in world.turns if turn.at_s > world.clock.seconds - 2 * INTERVAL_S
    } >= left
    assert world.oldest_s() <= OLDEST * INTERVAL_S


def test_a_thousand_models_of_one_age_and_a_training_of_three_seconds() -> None:
    """50 min of the hour, in the proportions of this file's interval."""
    world = World(lambda _: 0.25)
    for name in names(1000):
        world.add(name, age_s=100.0)
    world.run(2.2 * INTERVAL_S)
    assert world.oldest_s() <= 1.4 * INTERVAL_S
    times = [turn.at_s for turn in world.turns]
    assert most_within(times, 30.0) <= 100 + 2
    plan = world.schedule.plan()
    assert plan is not None
    assert (plan.symbols, plan.fit, plan.busy_seconds) == (1000, 1200, 250.0)
