"""When training gets more of the cores: the rule, and the turns of a cycle under a fake clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.training.priority import YIELDING, Urgency, niceness
from tests.unit.training.conftest import Bench, symbols

SECONDS = st.floats(0.0, 10_000.0)


@given(gone_s=SECONDS, later_s=SECONDS, available_s=st.just(-100.0) | st.floats(1e-3, 10_000.0))
def test_it_yields_at_first_and_never_yields_more_later(
    gone_s: float, later_s: float, available_s: float
) -> None:
    now, later = niceness(gone_s, available_s), niceness(gone_s + later_s, available_s)
    assert 0 <= later <= now <= YIELDING
    if available_s > 0 and gone_s <= available_s / 6:
        assert now == YIELDING
    if gone_s >= available_s / 2:
        assert now == 0


def test_the_most_urgent_turn_decides_and_without_any_all_yield() -> None:
    urgency = Urgency()
    urgency.begins("early", 0.0, 45.0)
    urgency.begins("late", 40.0, 45.0)
    assert urgency.niceness(41.6) == 0
    urgency.ends("early")
    assert urgency.niceness(41.6) == 5
    urgency.ends("late")
    assert urgency.niceness(42.5) == YIELDING


@pytest.mark.parametrize(
    ("after_s", "wanted"), [(0.0, 10), (7.4, 10), (15.0, 5), (22.5, 0), (44.0, 0), (100.0, 0)]
)
async def test_a_turn_that_takes_long_gets_more_and_the_next_yields_again(
    bench: Callable[..., Bench], after_s: float, wanted: int
) -> None:
    seen: list[int] = []

    async def slow(_: Any) -> None:
        if not seen:
            made.clock.seconds += after_s
            seen.append(made.retrainer.niceness())

    made = bench(symbols("A"), answer=slow)
    assert made.retrainer.niceness() == YIELDING
    made.retrainer.tick()
    await made.finish()
    assert seen == [wanted]
    assert made.retrainer.niceness() == YIELDING


async def test_a_turn_that_begins_late_has_what_is_left_of_the_cycle(
    bench: Callable[..., Bench],
) -> None:
    seen: list[tuple[str, int]] = []
    first = asyncio.Event()

    async def slow(job: Any) -> None:
        if job.symbol == "A" and not first.is_set():
            first.set()
            made.clock.seconds += 36.0
        elif job.symbol == "B" and job.model == "lstm":
            made.clock.seconds += 3.0
            seen.append((job.symbol, made.retrainer.niceness()))

    made = bench(symbols("A", "B"), answer=slow, retrain_processes=1)
    made.retrainer.tick()
    await made.finish()
    assert seen in ([("B", 5)], [("B", 0)])  # 0 while the first turn, 40 s old, is not over
    assert made.retrainer.niceness() == YIELDING


async def test_a_turn_that_fails_leaves_no_urgency(bench: Callable[..., Bench]) -> None:
    async def fail(_: Any) -> None:
        made.clock.seconds += 40.0
        raise RuntimeError("broken")

    made = bench(symbols("A"), answer=fail)
    made.retrainer.tick()
    await made.finish()
    assert made.events[-1].state == "failed"
    assert made.retrainer.niceness() == YIELDING
