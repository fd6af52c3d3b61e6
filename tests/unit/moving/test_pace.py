"""What is said of the pause follows from what was tried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_app.kafka.widening import Widening
from stream_app.moving.moves import PART
from stream_app.moving.pace import GROUP_S, SHARE, TRIPS, MovePace

PLAN = Widening(
    topic="ticks",
    before=2,
    after=3,
    moving={"A": (0, 2)},
    staying=1,
    read_bars=1000,
    moved_bars=400,
    passed_ticks=2000,
)
NOTICED_S = 2.0
PACE = MovePace(read_s=1e-3, move_s=1e-2, tick_s=1e-4, trip_s=0.02, slowness=1.0)


def _pause_s(pace: MovePace, plan: Widening = PLAN) -> float:
    return pace.pause_s(plan, noticed_s=NOTICED_S)


def test_all_work_is_in_it_at_a_share_of_the_processor() -> None:
    trips_s = (400 / PART + TRIPS) * 0.02
    work_s = 1.0 + 4.0 + 0.2 + trips_s
    assert _pause_s(PACE) == pytest.approx(NOTICED_S + GROUP_S + work_s / SHARE)


def test_on_a_machine_with_much_to_do_the_group_takes_longer_too() -> None:
    busy = replace(PACE, slowness=5.0)
    assert _pause_s(busy) - _pause_s(PACE) == pytest.approx(4 * GROUP_S)


def test_where_nobody_moves_nothing_waits() -> None:
    assert _pause_s(PACE, replace(PLAN, moving={})) == 0.0
