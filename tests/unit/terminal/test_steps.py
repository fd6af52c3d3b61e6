"""The time that is left is what the parts so far have taken."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from stream_app.terminal.steps import Remaining, StepsView
from tests.builders import SteppedClock


def test_work_of_one_kind_goes_on_as_it_went() -> None:
    clock = SteppedClock()
    remaining = Remaining({"ticks": 100}, clock)
    assert remaining.seconds() is None
    clock.now += 5
    remaining.done("ticks", 20)
    assert remaining.seconds() == pytest.approx(20.0)
    clock.now += 15
    remaining.done("ticks", 80)
    assert remaining.seconds() == 0.0


def test_each_kind_has_its_own_rate_and_processes_run_side_by_side() -> None:
    """Two processes: after 10 s the slow model has 2 of 10 done, the quick one 10 of 20."""
    clock = SteppedClock()
    remaining = Remaining({"lstm": 10, "forest": 20}, clock)
    clock.now += 10
    remaining.done("lstm", 2, seconds=10.0)
    assert remaining.seconds() is None  # nothing is known of the forests
    remaining.done("forest", 10, seconds=10.0)
    # Left are 8 x 5 s and 10 x 1 s of work; so far 20 s of work took 10 s.
    assert remaining.seconds() == pytest.approx(25.0)
    assert remaining.share == pytest.approx(0.4)


def test_nothing_to_do_is_done() -> None:
    remaining = Remaining({}, SteppedClock())
    assert remaining.seconds() == 0.0
    assert remaining.share == 1.0


def test_the_steps_are_told_with_what_is_left() -> None:
    sink, clock = io.StringIO(), SteppedClock()
    steps = {"bars": "making the bars", "train": "training"}
    with StepsView(steps, runs=2, console=Console(file=sink), clock=clock) as view:
        view.begin("bars", {"ticks": 10})
        clock.now += 2
        view.done("ticks", 10)
        view.begin("train", {"lstm": 4})
        clock.now += 90
        view.done("lstm", 1, seconds=90.0)
        clock.now += 270
        view.done("lstm", 3, seconds=270.0)
        view.begin("bars", {"ticks": 10})
        clock.now += 3
    assert sink.getvalue().splitlines() == [
        "run 1 of 2, step 1 of 2, making the bars: 0 %",
        "run 1 of 2, step 2 of 2, training: 0 %",
        "run 1 of 2, step 2 of 2, training: 25 %, 4 min 30 s left in this step",
        "run 1 of 2, step 2 of 2, training: 100 %",
        "run 2 of 2, step 1 of 2, making the bars: 0 %",
    ]
    assert view.seconds == {"bars": 5.0, "train": 360.0}


def test_on_a_terminal_it_is_a_bar() -> None:
    sink, clock = io.StringIO(), SteppedClock()
    console = Console(file=sink, force_terminal=True, width=120)
    with StepsView({"bars": "making the bars"}, runs=1, console=console, clock=clock) as view:
        view.begin("bars", {"ticks": 10})
        clock.now += 1
        view.done("ticks", 5)
        assert view.told() == "step 1 of 1, making the bars: 50 %, 1 s left in this step"
    assert "making the bars: 50 %" in sink.getvalue()
